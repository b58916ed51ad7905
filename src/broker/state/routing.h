/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * One generation of routes, made from one Config. A reload makes a new one. The old one lives as long as a client
 * refers to one of its pools.
 *
 * Routes that match exactly the same clients are one pool. They share a queue, and the broker balances among their
 * workers.
 */

#include "basic/list.h"
#include "broker/state/held-line.h"
#include "broker/state/listener.h"
#include "broker/state/scope-cache.h"
#include "broker/state/stats.h"
#include "broker/state/waiting.h"
#include "broker/state/worker.h"
#include "config/config.h"
#include "event/timer.h"
#include "match/match.h"

typedef struct Routing Routing;

struct Route {
        const RouteConfig *config; /* borrowed from Routing.config */
        Pool *pool;
        Worker *worker;            /* one reference */
        RouteStats *stats;         /* one reference */
        Transport transport;      /* as the unit says; with RouteConfig.transport_is_open the form that worked last */
        List waiting_link;         /* Worker.waiting, while the pool has queued clients */
        uint64_t hash;             /* hash of the worker's path; for Balance=source-hash */
        int64_t turn;              /* claim to the next client; for Balance=round-robin */
};

/*
 * A pool. If its units have different settings, those of the first unit by name hold, unless a comment says otherwise.
 */
struct Pool {
        Routing *routing;

        Route *routes;         /* slice of Routing.routes */
        size_t n_routes;
        const RouteConfig *config; /* borrowed from the first route */
        Pool *fallback_pool;   /* pool of Fallback=, in the same Routing; NULL: none */
        bool has_backup;       /* a route has Backup= */
        size_t max_queued;     /* sum of MaxQueued= of all routes */
        usec_t queue_timeout;  /* longest QueueTimeoutSec= of all routes; USEC_INFINITY: no limit */

        size_t next;           /* index of the route that comes first if several are equally free */
        size_t n_clients;      /* clients that refer to this pool, most of them queued or pending */
        Timer timer;           /* for @again, @queue, and the next attempt at a worker */
        WaitingList again;     /* Client.wait: clients that no worker took although they were sent; they go first */
        WaitingList queue;     /* Client.wait: other queued clients */
        size_t n_queued;       /* length of @again and @queue together */
        List *place_at;        /* Client.wait.link in @queue where queue_find_greedy() goes on, or @queue itself */
        usec_t swept_at;       /* time of the last search for clients that have left, CLOCK_MONOTONIC */
        List waiting_link;     /* RoutingShared.waiting, while a client is queued */

        OneSource full_source; /* of the clients that the next line @full counts */
        HeldLine full;         /* line "clients were refused: so many in the queue already" */
        HeldLine expired;      /* line "clients waited for a worker in vain" */
        HeldLine flusher_failures; /* line "flusher fails" */
};

/* State that all generations share. Borrowed from the broker. */
typedef struct RoutingShared {
        Loop *loop;
        WorkerTable *workers;
        List waiting;               /* Pool.waiting_link: pools of any generation with queued clients */
        List retired;               /* Routing.link: generations without a reference, until the end of the turn */
        TimerHandler on_pool_timer; /* handler of Pool.timer; its userdata is the Pool */
        void *userdata;             /* for the owner of @on_pool_timer */
        uint32_t generation;        /* of the routes that were made last; it begins with a random number */
        bool scopes_ask;            /* the host is drained: no next request is a worker's own */
        bool ignores_max_pending;   /* the broker stops: backlogs survive it, because systemd holds them */
} RoutingShared;

struct Routing {
        RoutingShared *shared;
        List link;             /* RoutingShared.retired */
        unsigned n_ref;
        Config *config;        /* owned */

        Route *routes;         /* sorted: the routes of a pool are side by side */
        size_t n_routes;
        Pool *pools;
        size_t n_pools;
        MatchIndex *index;     /* finds the index in @pools for a client */
        ScopeCache scopes;
};

/* Makes a generation from @config, which is consumed on success. @shared is borrowed. Returns 0 or a negative errno. */
int routing_new(RoutingShared *shared, Config *config, Routing **ret);

Routing *routing_ref(Routing *routing);

/*
 * Drops one reference. Returns NULL. Without a reference the generation is in RoutingShared.retired until the end of
 * the turn, because functions of this turn may still use it.
 */
Routing *routing_unref(Routing *routing);

/* Frees a generation that has no reference. */
void routing_free(Routing *routing);

/* True if a route for clients of @l asks for their first bytes. */
bool routing_needs_head(const Routing *routing, const Listener *l);

/* Sets Client.pool to @p. Counts the client there, and takes a reference to the generation of @p. */
void pool_take_client(Pool *p, Client *c);

/* Undoes pool_take_client(). Does nothing for a client without a pool. */
void pool_release_client(Client *c);
