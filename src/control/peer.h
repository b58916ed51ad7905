/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One connection to the control socket. */

#include <systemd/sd-bus.h>

#include "control/control.h"

typedef struct Peer {
        Control *control;
        List link;             /* Control.peers */

        int fd;                /* the connection; sd-bus has a duplicate of it, and only writes to that */
        int inner_fd;          /* one end of the pair whose other end sd-bus reads */
        sd_event_source *io;
        sd_event_source *next; /* on while sd-bus may have more to do without an event of the connection */
        sd_bus *bus;
        usec_t heard_at;       /* arrival of its last bytes, or its own */
        usec_t stalled_at;     /* start of the time in which it reads no answer; 0: it reads */

        bool subscribed;
        uint64_t n_lost;       /* events left out since the last "Lost" */
} Peer;

/* Consumes @fd in any case. */
int peer_new(Control *c, int fd, Peer **ret);
Peer *peer_free(Peer *p);

/* Does what can be done for the peer now: one message at most. @p may be freed by it. */
void peer_turn(Peer *p);

/* Has the event loop wait for what the peer needs next. To be called after a message to it. */
void peer_watch(Peer *p);
