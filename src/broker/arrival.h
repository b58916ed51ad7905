/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Arrival: accepts clients, and moves them on when their route is known. Keeps parked clients until their next request.
 *
 * This file handles clients that are CLIENT_HEAD or CLIENT_PARKED. stage/head.c decides about a client's first bytes.
 * stage/park.c has the list of parked clients. A client leaves to delivery.c or departure.c.
 */

#include "broker/core.h"

/* Handlers of public listeners. */
extern const ListenerHandlers arrival_handlers;

/*
 * Finds the route of a client that is in no list: a new one, one that was handed back, or one with its next request.
 * The client may be freed when this returns.
 */
void arrival_begin(Broker *b, Client *c);

/* Parks a client, which is watched. If an event has come meanwhile, its next request begins at once. */
void arrival_park(Broker *b, Client *c);

/* Handle @events (epoll) of a client that is CLIENT_HEAD or CLIENT_PARKED. */
void arrival_on_head_event(Broker *b, Client *c, uint32_t events);
void arrival_on_park_event(Broker *b, Client *c, uint32_t events);

/* Handles clients that are silent or late. It is the timer of a listener; @userdata is the Listener. */
void arrival_on_timer(void *userdata);

/* Refuses all clients that are CLIENT_HEAD. */
void arrival_refuse_all(Broker *b, Refusal why);
