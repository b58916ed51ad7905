/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * One generation of routes, as compiled from one Config. A reload makes a new one; the old one lives for as
 * long as clients are under way by it.
 *
 * Routes that match exactly the same clients are one pool: they share a queue, and the broker balances
 * among their workers.
 */

#include <systemd/sd-event.h>

#include "basic/list.h"
#include "basic/ratelimit.h"
#include "broker/worker.h"
#include "config/config.h"

typedef struct Broker Broker;
typedef struct Pool Pool;
typedef struct Routing Routing;

typedef struct Route {
        const RouteConfig *config; /* Routing.config owns it */
        Pool *pool;
        Worker *worker;            /* one reference */
        List waiting_link;         /* Worker.waiting, while the pool has clients in its queue */
} Route;

struct Pool {
        Broker *broker;
        Routing *routing;

        Route *routes;         /* a slice of Routing.routes */
        size_t n_routes;
        size_t next;           /* the route to begin with, where several are equally free */

        size_t n_clients;      /* in the queue and unclaimed, while they refer to this pool */
        List queue;            /* Client.link, the earliest deadline first */
        size_t n_queued;
        size_t queue_max;      /* QueueMax= of all routes together */
        usec_t queue_timeout;  /* the longest QueueTimeoutSec= of them */
        List waiting_link;     /* Broker.waiting, while the queue is not empty */
        sd_event_source *timer;
        usec_t timer_at;       /* what it is set to, USEC_INFINITY: off */

        RateLimit full;        /* of the log lines about those who were refused, */
        RateLimit expired;     /* and about those who waited in vain */
};

struct Routing {
        Broker *broker;
        unsigned n_ref;
        Config *config;

        Route *routes;         /* by rank, the ones of a pool side by side */
        size_t n_routes;
        Pool *pools;           /* by rank: the first that takes a client gets it */
        size_t n_pools;
};

/* Compiles @config, which is consumed on success. */
int routing_new(Broker *b, Config *config, Routing **ret);

Routing *routing_ref(Routing *routing);
Routing *routing_unref(Routing *routing);
DEFINE_CLEANUP(Routing *, routing_unref);

/* The pool for clients of the listener with this name, or NULL. Borrowed from @routing. */
Pool *routing_find(Routing *routing, const char *listener);
