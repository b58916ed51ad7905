/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Ending a client that gets no worker, with an answer that it understands.
 *
 * Closing a socket with unread bytes resets the connection, and a reset can overtake the answer. So what the
 * client has sent is read and thrown away, the answer and our FIN follow, and the socket is closed when the
 * client has closed its end as well, or has had enough time and bytes for it.
 */

#include "broker/broker.h"
#include "broker/socket-task.h"
#include "probe/probe.h"

/*
 * Answers the client and ends it, now or a little later. @reason says more about REFUSAL_MALFORMED. The client
 * must be in none of the broker's lists. One whose response has begun (Client.status) can't be answered any more.
 */
void refusal_send(Broker *b, Client *c, Refusal why, ProbeReason reason);

/* Ends it without an answer, though not by a reset: that is for those whose response has begun. */
void refusal_close(Broker *b, Client *c, Refusal why);

/* Ends one that has ended by itself: it is counted by the caller. */
void refusal_drop(Broker *b, Client *c);

/* Ends one that has had its whole response, as one that was answered here. It is counted by the caller. */
void refusal_see_off(Broker *b, Client *c);

/* Counts and logs a refusal that somebody else carries out. */
void refusal_count(Broker *b, const Client *c, Refusal why, ProbeReason reason);

/* Tells the helper's task what to answer: Client.refusal says why. */
void refusal_describe(const Client *c, SocketTask *t);

void refusal_on_event(Broker *b, Client *c, uint32_t events);

/* Ends the one that has lingered the longest. False where there is none. */
bool refusal_finish_oldest(Broker *b);

int refusal_timer_add(Broker *b);

/* "no-route", … for logs. */
const char *refusal_to_string(Refusal why);
