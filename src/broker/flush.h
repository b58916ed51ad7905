/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Flushing: the start of the response is written to the client, and the head of its request taken, before it is handed
 * to its worker (Flusher=).
 *
 * The worker's connection stands before; it is closed again without a message where the client gets no worker after
 * all, or takes its time. No worker's connection waits for a client, and no client is flushed twice: once it is, it
 * goes to the next worker as it is.
 */

#include "broker/broker.h"
#include "broker/routing.h"

/* flush() */
enum {
        FLUSH_LATER = 1, /* the client is waited for; the caller lets go of it and of the connection */
        FLUSH_ENDED,     /* the same, and there is no client any more */
};

/* True where the client has to be flushed before this route's worker may have it. */
bool flush_is_due(const Route *route, const Client *c);

/* Flushes the client, which is in none of the broker's lists. Returns 0, FLUSH_LATER or FLUSH_ENDED. */
int flush(Broker *b, Route *route, Client *c);

/* May the workers of this pool get the client, with what was done to it and what it has said already? */
bool flush_can_take(Broker *b, const Pool *p, const Client *c);

/* Ends those that still wait for room: what they have of the response must not look like all of it. */
void flush_end_all(Broker *b);

/* A client that is CLIENT_FLUSHING has room, or has left. */
void flush_on_event(Broker *b, Client *c, uint32_t events);

int flush_timer_add(Broker *b);
