/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Settlement: finds out what a receipt means for its client, and moves the client on.
 *
 * This file handles clients that are CLIENT_PENDING. stage/receipts.c has their lists, and stage/persistent.c the
 * connections that they share. A client that was taken goes to departure.c, and one that was not taken back to
 * delivery.c.
 */

#include "broker/core.h"

/*
 * Settles the handoff of a client. Returns false if @receipt says nothing yet. Otherwise the client may be freed, and
 * the queues of the worker are served at the end of the turn.
 */
bool settlement_settle(Broker *b, Client *c, Receipt receipt);

/* Settles all clients in PersistentTable.settled. */
void settlement_settle_persistent(Broker *b);

/* Handles an event of the connection to the worker of a client that is CLIENT_PENDING. */
void settlement_on_event(Broker *b, Client *c);

/*
 * Looks for receipts of clients of @s, because a new client found that source full. Looks at the 64 newest pending
 * clients, and at most once a turn, because each look is a system call.
 */
void settlement_look_at_source(Broker *b, const Source *s);

/* Looks for receipts of clients whose connections are not watched. To be called in each turn of poll mode. */
void settlement_poll(Broker *b);

/* Sets whether receipts are polled in each turn, or are events. */
void settlement_set_polled(Broker *b, bool is_polled);

/*
 * Frees the slots of clients that wait only for a receipt (ClientSent.is_expired). To be called when the broker stops.
 */
void settlement_drop_expired(Broker *b);

/* Handles pending clients whose next look is due. It is the timer of Receipts; @userdata is the Broker. */
void settlement_on_timer(void *userdata);
