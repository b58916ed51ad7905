/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Stage: clients that were sent to a worker and have no receipt yet. */

#include "broker/state/client.h"
#include "event/loop.h"

/* Number of lists by time since the handoff. The interval between two looks doubles from each list to the next. */
#define RECEIPTS_LEVELS 7

typedef struct Receipts {
        Loop *loop;             /* borrowed */
        Timer timer;            /* for all lists; on while any client is pending */
        WaitingList pending[RECEIPTS_LEVELS]; /* Client.wait; due at the next look */
        WaitingList last_looks; /* Client.wait: clients whose next look is at the end of QueueTimeoutSec= */
        bool is_polled;         /* receipts are polled in each turn, and are no events (event/poll-mode.h) */
        usec_t looked_at;       /* time of the last settlement_look_at_source(), CLOCK_MONOTONIC */
        List unwatched;         /* Client.second.link: clients whose own connection is not watched */
} Receipts;

/* Initialises @rs. @on_timer is called with @userdata when a client is due. Returns 0 or a negative errno. */
int receipts_init(Receipts *rs, Loop *loop, TimerHandler on_timer, void *userdata);
void receipts_done(Receipts *rs);

/* True if any client is pending. */
bool receipts_any(const Receipts *rs);

/*
 * Watches for the receipt on @conn_fd, which is borrowed. To be called before the client is sent on it. Returns 0 or a
 * negative errno.
 */
int receipts_prepare(Receipts *rs, const Client *c, int conn_fd);

/* Puts the client, which was just sent, into the lists. */
void receipts_enter(Receipts *rs, Client *c);

/* Takes the client out of all lists. */
void receipts_leave(Client *c);

/* Sets the time of the next look at the client. The longer the client has waited, the later it is. */
void receipts_look_later(Receipts *rs, Client *c);

/* Returns a client whose next look is due, or NULL. The client stays in its list. */
Client *receipts_next_due(Receipts *rs);

/* Watches the connection of a client in Receipts.unwatched. If that fails, the timer finds the receipt. */
void receipts_watch(Receipts *rs, Client *c);

/* Sets Receipts.is_polled, and watches the connections in Receipts.unwatched. */
void receipts_set_polled(Receipts *rs, bool is_polled);
