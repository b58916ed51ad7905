/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Arrival: accepts clients, and keeps them until their route is known. */

#include "broker/core.h"

/* Handlers of public listeners: accept4(2), and clients that are silent or late. */
extern const ListenerHandlers arrival_handlers;

/* Finds the route of a client that is in no list: a new one, one that was handed back, or one that has begun its next request. */
void arrival_begin(Broker *b, Client *c);

/* Parks a client, which is watched. A client with news meanwhile goes on at once. */
void arrival_park(Broker *b, Client *c);

/* A client that is CLIENT_HEAD, or CLIENT_PARKED, has an event. */
void arrival_on_head_event(Broker *b, Client *c, uint32_t events);
void arrival_on_park_event(Broker *b, Client *c, uint32_t events);

/* The timer of a listener; @userdata is the Listener. */
void arrival_on_timer(void *userdata);

/* Refuses all clients whose head is not complete. */
void arrival_refuse_all(Broker *b, Refusal why);
