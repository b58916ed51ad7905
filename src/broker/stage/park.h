/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Stage: clients between two requests. A worker handed them back, and they are silent. Each costs its slot and one descriptor. */

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
} Parking;

/* @on_timer is called with @userdata when a client is due. Returns 0 or a negative errno. */
int park_init(Parking *p, Loop *loop, SourceTable *sources, TimerHandler on_timer, void *userdata);
void park_done(Parking *p);

/* Parks the client, which is watched. */
void park_enter(Parking *p, Client *c);
void park_leave(Parking *p, Client *c);

/* The client that times out first, or NULL. */
Client *park_oldest(const Parking *p);

/* A client whose time is over, or NULL. */
Client *park_next_due(Parking *p);

/*
 * The client that has to go for another one if MaxParked= are parked, or NULL. It is one of the source with the most parked
 * clients, so that no source can end the connections of others.
 */
Client *park_surplus(const Parking *p);
