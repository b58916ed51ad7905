/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Clients between two requests: handed back by a worker, and silent. Such a client costs its slot and one descriptor. */

#include "basic/list.h"
#include "broker/client.h"
#include "broker/timer.h"

typedef struct Broker Broker;

typedef struct Parking {
        List clients;        /* Client.link, the earliest deadline first */
        Timer timer;         /* for ParkTimeoutSec= */
} Parking;

int park_init(Broker *b);

/* Parks a client, which is watched. It may end the connection of another one: MaxParked=, MaxClientsPerSource=. */
void park(Broker *b, Client *c);

/* Takes it out of those that are parked. */
void park_leave(Broker *b, Client *c);

/* A parked client has something to say, or has left. */
void park_on_event(Broker *b, Client *c, uint32_t events);

/* Ends the client that has been parked for the longest; the same among those of one source. False if there is none. */
bool park_evict_oldest(Broker *b);
bool park_evict_of(Broker *b, const Source *s);
