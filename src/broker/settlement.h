/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Settlement: what a receipt means for its client. */

#include "broker/core.h"

/*
 * Settles the handoff of a client. Returns false if @receipt says nothing yet. Asks for the queues of the worker to be served at the
 * end of the turn.
 */
bool settlement_settle(Broker *b, Client *c, Receipt receipt);

/* Settles the clients of persistent connections that have an outcome. */
void settlement_settle_persistent(Broker *b);

/* Something happened on the connection to the worker of a client that is CLIENT_PENDING. */
void settlement_on_event(Broker *b, Client *c);

/*
 * Looks for receipts of clients of this source, because it has too many clients. Looks at the 64 newest pending ones, and only once
 * a turn, because each look is a system call.
 */
void settlement_look_at_source(Broker *b, const Source *s);

/* Looks for receipts, in a turn of poll mode. */
void settlement_poll(Broker *b);

/* From now on receipts are looked for in each turn, or are events. */
void settlement_set_polled(Broker *b, bool is_polled);

/* Frees the slots of clients whose time was over while their worker had not read them, because the broker stops. */
void settlement_drop_expired(Broker *b);

/* The timer of Receipts; @userdata is the broker. */
void settlement_on_timer(void *userdata);
