/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The head: the first bytes of a client, which are looked at until they tell where it belongs, and never
 * consumed (but for a PROXY header, which is no part of what the client says).
 *
 * There is one absolute deadline for all of it, HeadTimeoutSec=, however the bytes trickle in, and a limit on
 * their number, MaxHeadSize=. A client that says nothing for SilentTimeoutSec= goes to a route that takes
 * silent ones, if there is one.
 */

#include "broker/broker.h"

/* Takes a client, new or back, and hands it on as soon as its route is known, which may be at once. */
void head_begin(Broker *b, Client *c);

/* Something arrived, or ended. */
void head_on_event(Broker *b, Client *c, uint32_t events);

/* Gives up the client that has waited for its head the longest. False where nobody waits. */
bool head_evict_oldest(Broker *b);

/* Gives up everybody whose head is awaited. */
void head_refuse_all(Listener *l, Refusal why);

/* A listener's timer of silent clients and late heads. */
int head_timer_add(Listener *l);

/*
 * A route that takes everybody is not meant for clients that say nothing: a crowd of those would stop its worker.
 * It has to say so, or be there for this listener, whatever comes in by it.
 */
bool head_takes_silent(const Pool *p);
