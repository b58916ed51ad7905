/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Counters of a route, beside those of the broker, of listeners and of workers. They only grow. They belong to a unit and the path
 * of its worker, and stay through reloads as long as both are there.
 */

#include "basic/histogram.h"
#include "broker/state/refusal.h"

typedef struct RouteStats RouteStats;
typedef struct Worker Worker;

struct RouteStats {
        Worker *worker;      /* to which the route leads */
        char *unit;
        unsigned n_ref;      /* routes of any generation */

        uint64_t n_taken;    /* handoffs with a receipt */
        uint64_t n_unread;   /* handoffs that the worker left unread */
        uint64_t n_declined; /* handoffs that it declined: another worker gets the client */
        uint64_t n_failed;   /* handoffs that it rejected: no worker gets the client */
        uint64_t n_refused[_REFUSAL_MAX]; /* clients that got no worker of its pool; the pool's first route counts them */
        Histogram time;      /* from the arrival of a client, or of its next request, to its receipt */
};

/* Returns the counters of the route of @unit to @w in @ret, with one more reference. Returns 0 or -ENOMEM. */
int route_stats_get(Worker *w, const char *unit, RouteStats **ret);

/* Drops one reference. The last one frees the counters. Does nothing for NULL. */
void route_stats_put(RouteStats *stats);
