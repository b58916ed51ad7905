/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Finds connections that have ended although no report came. The kernel is asked for lists of all its sockets with the
 * ports of the listeners. A connection that two lists in a row do not have is gone. One list is not enough, because the
 * report of a socket comes a little after the socket leaves the list, and a long list may leave one out.
 *
 * A sweep is made in pieces: each call takes as much as one turn of the loop may.
 */

#include "connections/diag-socket.h"
#include "connections/table.h"

/* Called for a connection that is gone. It is in the table, and the handler removes it. */
typedef void SweepHandler(void *userdata, Connection *c);

typedef enum SweepState {
        SWEEP_IDLE,
        SWEEP_LISTING,   /* lists are read */
        SWEEP_COMPARING, /* the table is compared with them */
} SweepState;

typedef struct Sweep {
        ConnectionTable *table; /* borrowed, as the next two */
        DiagSocket *socket;
        const uint16_t *ports;
        const size_t *n_ports;  /* may grow */
        SweepHandler *handler;
        void *userdata;

        SweepState state;
        size_t i;               /* the list that is read: port i / 2, of IPv4 or IPv6; or the place in the table */
        size_t n_missing;       /* connections that this pass has not found */
        bool has_failed;        /* a list could not be read to its end, so nothing is missing */
        usec_t begun_at;
        usec_t at;              /* time of the next sweep or step, CLOCK_MONOTONIC */
        bool is_needed;         /* reports were lost since the last sweep began */
} Sweep;

/* Has a sweep begin soon, because reports were lost, or may have been. */
void sweep_need(Sweep *s, usec_t now);

/* To be called for each report of the socket that is none of an end. */
void sweep_on_report(Sweep *s, const SockReport *report);

/*
 * Makes the next step, if it is time. To be called after the socket was read, and at Sweep.at. Returns the time at which
 * it is to be called again.
 */
usec_t sweep_go_on(Sweep *s, usec_t now);
