/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * One generation of routes, as compiled from one Config. A reload makes a new one; the old one lives for as
 * long as clients are under way by it.
 *
 * Routes that match exactly the same clients are one pool: they share a queue, and the broker balances
 * among their workers.
 */

#include "basic/list.h"
#include "basic/ratelimit.h"
#include "broker/match.h"
#include "broker/stats.h"
#include "broker/timer.h"
#include "broker/worker.h"
#include "config/config.h"

typedef struct Broker Broker;
typedef struct Listener Listener;
typedef struct Pool Pool;
typedef struct Routing Routing;

typedef struct Route {
        const RouteConfig *config; /* Routing.config owns it */
        Pool *pool;
        Worker *worker;            /* one reference */
        RouteStats *stats;         /* likewise */
        WorkerForm form;           /* as the unit says, or with RouteConfig.form_is_open as far as we know */
        List waiting_link;         /* Worker.waiting, while the pool has clients in its queue */
        uint64_t hash;             /* of the worker's path, for Balance=source-hash */
        int64_t turn;              /* claim to the next client, for Balance=round-robin */
} Route;

struct Pool {
        Broker *broker;
        Routing *routing;

        Route *routes;         /* a slice of Routing.routes */
        size_t n_routes;
        Balance balance;       /* Balance= of the first route */
        Pool *failure_pool;    /* Fallback= of the first route, where it names one; of the same Routing */
        bool has_backup;       /* some route has Backup= */
        size_t next;           /* the route to begin with, where several are equally free */

        size_t n_clients;      /* in the queue and pending, while they refer to this pool */
        List again;            /* Client.link: those whose handoff was reset, the earliest deadline first */
        List queue;            /* Client.link: the others, likewise */
        size_t n_queued;       /* in both */
        List *place_at;        /* Client.link in @queue where pool_make_place() goes on to look, or @queue itself */
        usec_t swept_at;       /* when the queue was last looked through for clients that have left */
        size_t max_queued;      /* MaxQueued= of all routes together */
        usec_t queue_timeout;  /* the longest QueueTimeoutSec= of them */
        List waiting_link;     /* Broker.waiting, while the queue is not empty */
        Timer timer;           /* while the queue is not empty */

        RateLimit full;        /* of the log lines about those who were refused, */
        RateLimit expired;     /* about those who waited in vain, */
        RateLimit flusher_failures; /* and about those whom a flusher failed */
};

struct Routing {
        Broker *broker;
        List link;             /* Broker.retired, once it has no reference */
        unsigned n_ref;
        Config *config;

        Route *routes;         /* the ones of a pool side by side */
        size_t n_routes;
        Pool *pools;
        size_t n_pools;
        MatchIndex *index;     /* finds the pool for a client, by its number in @pools */
        Pool **prefix_pools;   /* those with Prefix= */
        size_t n_prefix_pools;
        bool has_hosts;        /* some route has Host= */
};

/* Compiles @config, which is consumed on success. */
int routing_new(Broker *b, Config *config, Routing **ret);

Routing *routing_ref(Routing *routing);
Routing *routing_unref(Routing *routing);

/* Frees a generation of Broker.retired. */
void routing_reap(Routing *routing);

/* True where some route for clients of this listener asks for their first bytes. */
bool routing_needs_head(const Routing *routing, const Listener *l);

/* True where @head is the beginning of a Prefix= of such a route, but not all of it. */
bool routing_prefix_needs_more(const Routing *routing, const char *listener, Slice head);

/* The settings of this listener: its own or the default ones. Borrowed from @routing. */
const ListenerConfig *routing_listener_config(const Routing *routing, const char *listener);
