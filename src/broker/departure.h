/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Every way out of the broker. Each function ends with the client freed, now or after it was answered. */

#include "broker/core.h"

/* Ends the client and counts nothing. */
void departure_drop(Broker *b, Client *c);

/* A worker took the client: counts and logs that. */
void departure_taken(Broker *b, Client *c);

/* A flusher wrote the whole response. */
void departure_answered(Broker *b, Client *c);

/* The client left by itself. */
void departure_gone(Broker *b, Client *c);

/* The client left by itself, but bytes of it may still be unread: it is closed without a reset. */
void departure_gone_unread(Broker *b, Client *c);

/*
 * Refuses the client, which is in no list: answers it in its protocol and closes it. @reason says more about REFUSAL_MALFORMED. A
 * client whose response has begun (ClientFlush.status) can't be answered any more: its connection is reset.
 */
void departure_refuse(Broker *b, Client *c, Refusal why, ProbeReason reason);

/* Refuses the client without an answer. It is not reset, unless its response has begun. */
void departure_close(Broker *b, Client *c, Refusal why);

/* Counts and logs a refusal that another file carries out. */
void departure_count_refusal(Broker *b, const Client *c, Refusal why, ProbeReason reason);

/* A client that is CLIENT_REFUSED has an event. */
void departure_on_event(Broker *b, Client *c, uint32_t events);

/* Ends the client that was refused first of those that still read their answers. Returns false if there is none. */
bool departure_evict_refused(Broker *b);

/* Ends a parked client: a server may close a connection between two requests at any time (RFC 9112 9.5). */
void departure_evict_parked(Broker *b, Client *c);

/* Ends all clients that wait for room for a response: what they have of it must not look complete. */
void departure_end_flushes(Broker *b);

/* Timers of the stages; @userdata is the broker. */
void departure_on_linger_timer(void *userdata);
void departure_on_park_timer(void *userdata);
void departure_on_flush_timer(void *userdata);
