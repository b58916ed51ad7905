/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * One generation of routes, made from one Config. A reload makes a new one. An old one lives as long as a client refers to a pool
 * of it.
 *
 * Routes that match exactly the same clients are one pool: they share a queue, and the broker balances among their workers.
 */

#include "basic/list.h"
#include "broker/state/held-line.h"
#include "broker/state/listener.h"
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
        WorkerForm form;           /* as the unit says; with RouteConfig.form_is_open the one that worked last */
        List waiting_link;         /* Worker.waiting, while the pool has queued clients */
        uint64_t hash;             /* of the worker's path; for Balance=source-hash */
        int64_t turn;              /* claim to the next client; for Balance=round-robin */
};

/* Settings of a pool. Where units differ, the first one by name decides, unless a comment says otherwise. */
struct Pool {
        Routing *routing;

        Route *routes;         /* slice of Routing.routes */
        size_t n_routes;
        const RouteConfig *config; /* of the first route */
        Pool *fallback_pool;   /* of Fallback=, in the same Routing; NULL: none */
        bool has_backup;       /* a route has Backup= */
        size_t max_queued;     /* sum of MaxQueued= of all routes */
        usec_t queue_timeout;  /* longest QueueTimeoutSec= of all routes; USEC_INFINITY: none */

        size_t next;           /* route that comes first if several are equally free */
        size_t n_clients;      /* clients that refer to this pool: queued or pending, mostly */
        Timer timer;           /* for both lists, and for the next attempt at a worker */
        WaitingList again;     /* Client.wait: clients that a worker left unread; they go first */
        WaitingList queue;     /* Client.wait: the others */
        size_t n_queued;       /* clients in both */
        List *place_at;        /* Client.wait.link in @queue where queue_find_greedy() goes on, or @queue itself */
        usec_t swept_at;       /* when the queue was last searched for clients that have left */
        List waiting_link;     /* Routing.waiting, while a client is queued */

        HeldLine full;         /* "clients refused: so many in the queue already" */
        HeldLine expired;      /* "clients waited in vain" */
        HeldLine flusher_failures; /* "flusher fails" */
};

/* What all generations share. Borrowed from the broker. */
typedef struct RoutingShared {
        Loop *loop;
        WorkerTable *workers;
        List waiting;               /* Pool.waiting_link: pools with queued clients, of any generation */
        List retired;               /* Routing.link: generations without a reference, until the end of the turn */
        TimerHandler on_pool_timer; /* its userdata is the Pool */
        void *userdata;             /* for that handler's owner */
        bool ignores_max_pending;   /* the broker stops: backlogs of workers outlive it, its queues don't */
} RoutingShared;

struct Routing {
        RoutingShared *shared;
        List link;             /* RoutingShared.retired */
        unsigned n_ref;
        Config *config;        /* owned */

        Route *routes;         /* the ones of a pool side by side */
        size_t n_routes;
        Pool *pools;
        size_t n_pools;
        MatchIndex *index;     /* finds the number in @pools for a client */
};

/* Makes a generation from @config, which is consumed on success. Returns 0 or a negative errno. */
int routing_new(RoutingShared *shared, Config *config, Routing **ret);

Routing *routing_ref(Routing *routing);

/* Drops one reference. The last one puts the generation into RoutingShared.retired, because this turn may still use it. */
Routing *routing_unref(Routing *routing);

/* Frees a generation without a reference. */
void routing_free(Routing *routing);

/* True if a route for clients of this listener asks for their first bytes. */
bool routing_needs_head(const Routing *routing, const Listener *l);

/* The settings of this listener, or the default ones. Borrowed from @routing. */
const ListenerConfig *routing_listener_config(const Routing *routing, const char *listener);

/* Counts @c among the clients of @p, and keeps the generation of @p. */
void pool_take_client(Pool *p, Client *c);

/* Undoes that. Does nothing for a client without a pool. */
void pool_release_client(Client *c);
