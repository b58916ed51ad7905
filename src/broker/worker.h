/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A worker, as the broker knows it: a socket path, and how it has behaved. Routes come and go with reloads;
 * the worker stays while any generation of routes refers to it, so that what waits in its backlog is
 * counted on.
 */

#include <sys/socket.h>
#include <sys/un.h>

#include "basic/list.h"
#include "basic/ratelimit.h"
#include "basic/time.h"

typedef struct RouteStats RouteStats;

typedef struct Worker {
        char *path;
        uint32_t number;      /* from 1, for the helper, which can't keep a pointer */
        struct sockaddr_un address;
        socklen_t address_len;
        unsigned n_ref;       /* by routes */
        bool is_private;      /* only root and the broker can change what its path leads to, as seen since it was gone */

        unsigned n_pending; /* clients in its backlog, or in its hands without a receipt */

        bool gone;            /* connecting failed with more than a full backlog, since gone_since */
        usec_t gone_since;
        int gone_error;       /* negative errno: what connecting failed with last */
        unsigned n_gone;      /* how often since the log had a line about it */
        bool gone_told;       /* the log has a line about this time */
        RateLimit edges;      /* of these lines */
        usec_t retry_at;      /* not before this, 0: at any time */
        usec_t back_off;      /* how long the wait was, for the next one to be longer */

        List channels;        /* Channel.link: the connections that it keeps */
        unsigned n_channels;

        List serve_link;      /* WorkerTable.to_serve, from a receipt to the end of the turn */
        List unused_link;     /* WorkerTable.unused, while it has no route */

        List waiting;         /* Route.waiting_link: routes whose pools have clients in their queues; */
        size_t n_waiting;     /* so many, and */
        unsigned window;      /* none of them has a larger MaxPending= */

        unsigned n_hanging;   /* calls of the helper that hang at sockets of its clients: then it gets no client */
        usec_t hanging_since;

        bool stuck;           /* it has not taken a client for long, and the log says so */

        bool drained;         /* an administrator wants it to get no more clients */

        uint64_t n_taken;     /* clients with a receipt, by whatever route */
        uint64_t n_unread;    /* handoffs that it left unread */
        RouteStats **stats;   /* of all routes to it, sorted by unit */
        size_t n_stats;

        RateLimit resets;     /* of the log line about clients that it left unread */
} Worker;

/* The workers of all generations of routes, sorted by path. */
typedef struct WorkerTable {
        Worker **workers;
        size_t n_workers;
        size_t n_allocated;
        uint32_t last_number; /* Worker.number of the last one */
        List to_serve;       /* Worker.serve_link */
        List unused;         /* Worker.unused_link */
} WorkerTable;

void worker_table_init(WorkerTable *table);

/*
 * The worker with this path, with one more reference: known already, or made. -ENOMEM; -ENAMETOOLONG where
 * the path does not fit into a socket address.
 */
int worker_get(WorkerTable *table, const char *path, Worker **ret);

/* Drops one reference. A worker without any is freed at the end of the turn. */
void worker_put(WorkerTable *table, Worker *w);

/* Frees the workers without a reference. */
void worker_table_reap(WorkerTable *table);

/* Has the queues of its pools served at the end of the turn. */
void worker_serve_later(WorkerTable *table, Worker *w);

/* NULL if there is no such worker any more, or @number is 0. */
Worker *worker_find_number(const WorkerTable *table, uint32_t number);

/* Can't be used, and nothing that the broker does changes that. */
static inline bool worker_is_lost(const Worker *w) {
        return w->gone || w->n_hanging > 0;
}

/* May it get a client now? */
bool worker_is_ready(const Worker *w, usec_t now);

/* Not now: waits longer each time, from 10 ms to 250 ms. Failures within one wait count once. */
void worker_back_off(Worker *w, usec_t now);

/* A receipt: all is well with it. */
void worker_recovered(Worker *w);
