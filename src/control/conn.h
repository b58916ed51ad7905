/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One connection to the control socket, with the peer that made it. */

#include "control/internal.h"

/* A signal is dropped while this many messages wait for its peer. A peer with twice as many is closed. */
#define CONTROL_QUEUE_MAX 64

struct ControlConn {
        Control *control;
        List link;             /* Control.conns */

        int fd;                /* the connection; sd-bus reads and writes a duplicate */
        sd_event_source *io;
        sd_event_source *next; /* on while sd-bus may have more to do without an event of @fd */
        sd_bus *bus;
        usec_t active_at;      /* CLOCK_MONOTONIC, when the peer last sent or read a whole message, or came */
        usec_t stalled_at;     /* CLOCK_MONOTONIC, since when messages wait for the peer; 0: none wait */

        bool is_subscribed;
        uint64_t n_lost;       /* signals dropped since the last "Lost" */
};

/*
 * Serves the peer of @fd, which is consumed in any case. The connection belongs to @c, and has no object yet. Returns 0
 * or a negative errno.
 */
int control_conn_new(Control *c, int fd, ControlConn **ret);
ControlConn *control_conn_free(ControlConn *conn);

/* Ends the subscription of events_subscribe(), if there is one. */
void control_conn_unsubscribe(ControlConn *conn);

/* Handles one message at most, and closes the connection if its peer reads nothing. May free @conn. */
void control_conn_turn(ControlConn *conn);

/* Number of messages that wait for the peer to read. */
uint64_t control_conn_n_queued(const ControlConn *conn);

/* Makes the event loop wait for what the connection needs next. Call it after a message to the peer. */
void control_conn_watch(ControlConn *conn);
