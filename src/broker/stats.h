/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What is counted for each route, beside what Broker, Listener and Worker count themselves. Counters only grow.
 * They belong to a unit together with its worker's path, and stay through reloads for as long as both are there.
 */

#include "basic/time.h"
#include "broker/client.h"

typedef struct RouteStats RouteStats;
typedef struct Worker Worker;

/* Spans by powers of two: bucket i has those up to HISTOGRAM_FIRST_USEC << i, the last one all that are longer. */
#define HISTOGRAM_FIRST_USEC ((usec_t) 64)
#define HISTOGRAM_BUCKETS 22 /* 64 µs … 67 s, and longer */

typedef struct Histogram {
        uint64_t n[HISTOGRAM_BUCKETS];
        usec_t sum;
} Histogram;

static inline void histogram_add(Histogram *h, usec_t span) {
        size_t i = 0;

        if (span > HISTOGRAM_FIRST_USEC)
                i = 64 - (size_t) __builtin_clzll((span - 1) / HISTOGRAM_FIRST_USEC);

        h->n[MIN(i, (size_t) HISTOGRAM_BUCKETS - 1)]++;
        h->sum += span;
}

struct RouteStats {
        Worker *worker;      /* whose they are among */
        char *unit;
        unsigned n_ref;      /* by routes of any generation */

        uint64_t n_taken;    /* handoffs with a receipt */
        uint64_t n_unread;   /* that the worker left unread */
        uint64_t n_declined; /* that it did not want: another one may */
        uint64_t n_failed;   /* that it answered with an error: nobody gets them */
        uint64_t n_refused[_REFUSAL_MAX]; /* clients that got no worker of this pool; its first route counts them */
        Histogram time;      /* from a client's arrival, or its next request, to its receipt */
};

/* The counters of @unit's route to @w, with one more reference. -ENOMEM. */
int route_stats_get(Worker *w, const char *unit, RouteStats **ret);

/* Drops one reference; the last one frees them. Does nothing for NULL. */
void route_stats_put(RouteStats *stats);
