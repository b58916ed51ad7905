/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Stage: clients that were handed back after a request and have not begun the next one. Each needs its slot and one
 * descriptor.
 */

#include "broker/state/client.h"
#include "broker/state/source.h"

typedef struct Parking {
        Loop *loop;           /* borrowed */
        SourceTable *sources; /* borrowed */
        WaitingList clients;  /* Client.wait; due at ParkTimeoutSec= */
        Timer timer;
        size_t n;             /* length of @clients */
        size_t max;           /* MaxParked= */
        usec_t timeout;       /* ParkTimeoutSec= */
        usec_t limit;         /* of @timeout, which is not used if it is longer */
} Parking;

/* Initialises @p. @on_timer is called with @userdata when a client is due. Returns 0 or a negative errno. */
int park_init(Parking *p, Loop *loop, SourceTable *sources, TimerHandler on_timer, void *userdata);
void park_done(Parking *p);

/* Puts the client, which is watched, into the list, or takes it out. */
void park_enter(Parking *p, Client *c);
void park_leave(Parking *p, Client *c);

/* Limits the time of each parked client from now on. The time of those that are in the list begins anew. */
void park_limit(Parking *p, usec_t limit);

/* Returns the client with the earliest deadline, or NULL. It stays in the list. */
Client *park_oldest(const Parking *p);

/* Returns the first client that is due now, or NULL. It stays in the list. */
Client *park_next_due(Parking *p);

/*
 * Returns a client that has to go before another one is parked, or NULL if there are fewer than MaxParked=. It belongs
 * to a source with many parked clients (source_fullest_oldest()), so that a source with many clients can't end those of
 * others.
 */
Client *park_surplus(const Parking *p);
