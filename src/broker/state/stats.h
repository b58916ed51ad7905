/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Counters of a route. They only grow. They belong to a unit and the path of its worker, and survive reloads as long as
 * both exist.
 */

#include "basic/histogram.h"
#include "connections/routes.h"
#include "broker/state/recent-count.h"
#include "broker/state/refusal.h"

typedef struct RouteStats RouteStats;
typedef struct Worker Worker;

struct RouteStats {
        Worker *worker;      /* worker of the route; borrowed */
        char *unit;
        unsigned n_ref;      /* number of routes with these counters, of all generations */

        uint64_t n_taken;    /* handoffs with a receipt */
        uint64_t n_rerouted; /* of @n_taken, those of clients that a worker had handed back for their next request */
        uint64_t n_unread;   /* handoffs that the worker left unread */
        uint64_t n_declined; /* handoffs that it declined; another worker gets the client */
        uint64_t n_failed;   /* handoffs that it rejected; no worker gets the client */
        uint64_t n_answered; /* clients that a flusher answered; no worker got them. Counted for the first route of the pool */
        uint64_t n_refused[_REFUSAL_MAX]; /* clients without a worker; counted for the first route of the pool */
        RecentCount recent_full; /* those with REFUSAL_QUEUE_FULL of the last minutes */
        ConnectionRoute *connections; /* live connections by this route; one reference; NULL: they are not counted */
        Histogram time;      /* time from the arrival of a client, or of its next request, to its receipt */
};

/*
 * Returns the counters of the route of @unit to @w in *ret, with one more reference. Makes them if needed. Returns 0 or
 * -ENOMEM.
 */
int route_stats_get(Worker *w, const char *unit, RouteStats **ret);

/* Drops one reference, and frees the counters with the last one. Does nothing for NULL. */
void route_stats_put(RouteStats *stats);
