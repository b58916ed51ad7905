/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Waits for the receipts of the clients that were sent. */

#include "broker/client.h"
#include "broker/timer.h"
#include "handoff/handoff.h"

typedef struct Broker Broker;

/* How often the interval between two looks is doubled. */
#define RECEIPTS_LEVELS 7

typedef struct Receipts {
        Broker *broker;
        Timer timer;            /* on while anybody is pending */
        List pending[RECEIPTS_LEVELS]; /* Client.link, each with the earliest look_at first */
        List last_looks;        /* Client.link: clients whose next look is at the end of QueueTimeoutSec=; likewise */
        bool by_turns;          /* receipts are looked for in each turn (pace.h), or else each is an event */
        List unwatched;         /* Client.second_link: those with a connection of their own that is no event */
} Receipts;

int receipts_init(Receipts *receipts, Broker *b);
void receipts_done(Receipts *receipts);

/* Is there a client without a receipt? */
bool receipts_any(const Receipts *receipts);

/* Frees the slots of clients whose time was over while their worker had not read them: nothing is left of them to wait for. */
void receipts_drop_expired(Receipts *receipts);

/* Before the client is sent on @conn_fd: sees to it that the receipt will be heard of. Returns 0 or a negative errno. */
int receipts_prepare(Receipts *receipts, Client *c, int conn_fd);

/* The client was sent: from now on there may be a receipt. */
void receipts_expect(Receipts *receipts, Client *c);

/* The client is its worker's: counts it and lets go of it. */
void receipts_taken(Broker *b, Client *c);

/*
 * Settles the handoff of a client. Returns false if @receipt says nothing yet. The caller asks for the worker's queues to
 * be served (worker_serve_later()).
 */
bool receipts_settle(Broker *b, Client *c, Receipt receipt);

/* Something happened on the connection to the worker. */
void receipts_on_event(Receipts *receipts, Client *c);

/* For each turn: looks for receipts, where they are not events. */
void receipts_turn(Receipts *receipts);

/* From now on they are, or are not. */
void receipts_watch(Receipts *receipts, bool by_turns);
