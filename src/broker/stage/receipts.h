/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Stage: clients that were sent to a worker and have no receipt yet. */

#include "broker/state/client.h"
#include "event/loop.h"

/* Lists by how long a client has waited; the interval between two looks doubles from each to the next. */
#define RECEIPTS_LEVELS 7

typedef struct Receipts {
        Loop *loop;             /* borrowed */
        Timer timer;            /* for all lists; on while any client is pending */
        WaitingList pending[RECEIPTS_LEVELS]; /* Client.wait; due at the next look */
        WaitingList last_looks; /* Client.wait; the next look is at the end of QueueTimeoutSec= */
        bool is_polled;         /* receipts are looked for in each turn, and are no events (event/poll-mode.h) */
        usec_t looked_at;       /* last settlement_look_at_source() */
        List unwatched;         /* Client.second.link: clients with a connection of their own that is not watched */
} Receipts;

/* @on_timer is called with @userdata when a client is due. Returns 0 or a negative errno. */
int receipts_init(Receipts *rs, Loop *loop, TimerHandler on_timer, void *userdata);
void receipts_done(Receipts *rs);

/* True if any client is pending. */
bool receipts_any(const Receipts *rs);

/* To be called before the client is sent on @conn_fd: watches for the receipt. Returns 0 or a negative errno. */
int receipts_prepare(Receipts *rs, const Client *c, int conn_fd);

/* The client was just sent. */
void receipts_enter(Receipts *rs, Client *c);

/* Takes the client out of all lists. */
void receipts_leave(Client *c);

/* Looks for the receipt again, the later the longer the client has waited. */
void receipts_look_later(Receipts *rs, Client *c);

/* A client at which it is time to look, and which stays in its list; or NULL. */
Client *receipts_next_due(Receipts *rs);

/* Watches the connection of a client in Receipts.unwatched. If that fails, the timer finds the receipt. */
void receipts_watch(Receipts *rs, Client *c);

/* Sets Receipts.is_polled. */
void receipts_set_polled(Receipts *rs, bool is_polled);
