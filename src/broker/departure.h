/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Departure: every way out of the broker. A function that gets a client frees it, now or after the client has read its
 * answer. Only this file frees clients, so what is counted and logged at the end of a client belongs here.
 *
 * This file handles clients that are CLIENT_REFUSED. stage/linger.c has their list, and stage/answer.c their answers.
 */

#include "broker/core.h"

/* Ends the client, and counts nothing. */
void departure_drop(Broker *b, Client *c);

/* Ends the client, which a worker took. Counts and logs that. */
void departure_taken(Broker *b, Client *c);

/* Ends the client, to which a flusher wrote the whole response. Counts and logs that. */
void departure_answered(Broker *b, Client *c);

/* Ends the client, which has left by itself. Counts that. */
void departure_gone(Broker *b, Client *c);

/* Does the same, but first reads bytes that may be unread. Otherwise close(2) would reset the connection. */
void departure_gone_unread(Broker *b, Client *c);

/*
 * Refuses the client, which is in no list: counts it, answers it in its protocol, and closes it. @reason is the detail
 * of REFUSAL_MALFORMED. If its response has begun (ClientFlush.status), it gets no answer, and its connection is reset.
 */
void departure_refuse(Broker *b, Client *c, Refusal why, ProbeReason reason);

/* Refuses the client without an answer. Its connection is reset only if its response has begun. */
void departure_close(Broker *b, Client *c, Refusal why);

/* Counts and logs a refusal that another file carries out. */
void departure_count_refusal(Broker *b, const Client *c, Refusal why, ProbeReason reason);

/* Handles @events (epoll) of a client that is CLIENT_REFUSED. */
void departure_on_event(Broker *b, Client *c, uint32_t events);

/* Ends the client that was answered longest ago. Returns false if there is none. */
bool departure_evict_refused(Broker *b);

/* Ends a parked client. A server may close a connection between two requests at any time (RFC 9112 9.5). */
void departure_evict_parked(Broker *b, Client *c);

/* Resets all clients that are CLIENT_FLUSHING, because a part of a response must not look like the whole. */
void departure_end_flushes(Broker *b);

/* Handle the clients of a stage that are due; @userdata is the Broker. */
void departure_on_linger_timer(void *userdata);
void departure_on_park_timer(void *userdata);
void departure_on_flush_timer(void *userdata);
