/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One connection to the control socket. */

#include <systemd/sd-bus.h>

#include "control/control.h"
#include "control/gate.h"

typedef struct Peer {
        Control *control;
        List link;             /* Control.peers, whoever has been quiet the longest first */
        bool may_change;       /* root, or one of the broker's group */

        int fd;                /* the connection */
        int inner_fd;          /* our end of a pair, whose other one sd-bus reads; it writes to the connection itself */
        sd_event_source *io;
        sd_event_source *next; /* on when sd-bus has dealt with a message */
        sd_bus *bus;

        Gate gate;
        uint8_t *buffer;       /* GATE_MESSAGE_MAX bytes: what came and has not gone on */
        size_t n;
        bool busy;             /* sd-bus has a message that it has not dealt with */
        bool dead;
        usec_t stalled_at;     /* since when it does not read its answers; 0: it does */

        bool subscribed;
        uint64_t n_lost;       /* events that it was not told, since it was told how many */
} Peer;

/* Consumes @fd in any case. */
int peer_new(Control *c, int fd, Peer **ret);
Peer *peer_free(Peer *p);

/* Does what can be done for the peer now: one message at most. It may be gone afterwards. */
void peer_turn(Peer *p);

/* Does it read what it is sent? */
bool peer_reads(const Peer *p);
