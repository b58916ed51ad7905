/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Live connections: clients that a worker took, until the kernel reports that their sockets are gone. They are counted
 * for Balance=least-connections and MaxConnections=, and logged (LogConnections=).
 *
 * All is off without the socket of fdpass-connections.socket. Then each function returns at once.
 */

#include "broker/core.h"
#include "broker/live-log.h"
#include "connections/sweep.h"

struct Live {
        Broker *broker;
        ConnectionTable *table;
        DiagSocket socket;
        int fd;               /* the netlink socket; owned */
        usec_t read_at;       /* CLOCK_MONOTONIC; USEC_INFINITY: no report has come */
        Sweep sweep;
        Timer timer;          /* for @sweep */
        uint16_t ports[DIAG_PORTS_MAX]; /* ports of our end whose reports are read */
        size_t n_ports;
        size_t n_found_ports; /* those of them that are of no listener */
        bool has_mptcp;       /* a listener may have clients of MPTCP */
        bool is_logging;      /* LogConnections= */
        LiveLog log;
        HeldLine lost;        /* line "the kernel dropped reports" */
};

/*
 * Begins to read reports from @fd, a netlink socket, which is consumed on success, as is @store. To be called after the
 * listeners were added and before the first broker_set_config(). Returns 0 or a negative errno.
 */
int live_new(Broker *b, int fd, ConnectionStore *store);
void live_free(Broker *b);

/* Uses the settings of a new configuration, and counts connections for its routes. */
void live_configure(Broker *b);

/*
 * Notes a client that was sent by Client.sent.route. If this process is killed before the receipt, the next one takes the
 * client for live. Sets Client.cookie.
 */
void live_note_sent(Broker *b, Client *c);

/* Counts the client, which a worker took. To be called while the broker still has its socket, so that it is there. */
void live_note(Broker *b, Client *c);

/* Ends what live_note_sent() began, because no worker took the client. Does nothing without that. */
void live_unsend(Broker *b, Client *c);

/* The client was handed back, and the helper has looked at it: no worker has it. Sets Client.cookie. */
void live_take_back(Broker *b, Client *c);

/* True if a connection is live. */
bool live_any(const Broker *b);

/* Reads the reports that have come. */
void live_read(Broker *b);

/* Reports have come. They are read by a later live_turn(), several at once. */
void live_on_event(Broker *b);

/* True if reports have come that are not read yet. */
static inline bool live_has_reports(const Broker *b) {
        return b->live && b->live->read_at != USEC_INFINITY;
}

/* Returns how long the next turn may wait until reports are to be read. To be called with live_has_reports(). */
usec_t live_is_due(const Broker *b);

/*
 * Reads the reports if that is due, or if a client waits for a worker. To be called in each turn with live_has_reports(),
 * after the events.
 */
void live_turn(Broker *b);
