/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A worker as the broker knows it: a socket path, and how it behaved. Routes come and go with reloads. A worker stays as long as
 * a generation of routes refers to it, so that the clients in its backlog still count.
 */

#include <sys/socket.h>
#include <sys/un.h>

#include "basic/list.h"
#include "basic/time.h"
#include "broker/state/held-line.h"

typedef struct RouteStats RouteStats;

typedef struct Worker {
        char *path;
        uint32_t number;      /* from 1; for the helper, which can't keep a pointer */
        struct sockaddr_un address;
        socklen_t address_len;
        unsigned n_ref;       /* routes */
        bool is_private;      /* only root and the broker can change where its path leads; false: not known */

        unsigned n_pending;   /* clients sent to it without a receipt */

        bool unreachable;     /* connecting failed with more than a full backlog */
        usec_t unreachable_since; /* CLOCK_MONOTONIC */
        int unreachable_error; /* negative errno of the last attempt */
        unsigned n_gone;      /* times that it became unreachable since the last line about it */
        bool gone_logged;     /* the log has a line about this time */
        RateLimit edges;      /* of lines about it becoming unreachable */
        usec_t retry_at;      /* it gets no client before; 0: at any time */
        usec_t back_off;      /* length of the last wait; the next one is longer */

        List persistent;      /* PersistentConn.link */
        unsigned n_persistent;

        List serve_link;      /* WorkerTable.to_serve, from a receipt to the end of the turn */
        List unused_link;     /* WorkerTable.unused, while no route refers to it */

        List waiting;         /* Route.waiting_link: routes to it whose pools have queued clients */
        size_t n_waiting;     /* length of @waiting */
        unsigned max_pending; /* largest MaxPending= of the routes that were in @waiting since it was empty */

        unsigned n_hanging;   /* calls of the helper that hang at sockets of its clients; above 0 it gets no client */
        usec_t hanging_since; /* CLOCK_MONOTONIC */

        bool unresponsive;    /* it took no client for long, and the log says so */
        bool is_drained;      /* an administrator wants it to get no more clients */

        uint64_t n_taken;     /* clients with a receipt, by any route */
        uint64_t n_unread;    /* handoffs that it left unread */
        RouteStats **stats;   /* of all routes to it, sorted by unit */
        size_t n_stats;

        HeldLine resets;      /* "went away with clients unread"; its subject is one of @stats */
} Worker;

/* The workers of all generations of routes, sorted by path. */
typedef struct WorkerTable {
        Worker **workers;
        size_t n_workers;
        size_t n_allocated;
        uint32_t last_number; /* Worker.number of the newest one */
        List to_serve;        /* Worker.serve_link */
        List unused;          /* Worker.unused_link */
} WorkerTable;

void worker_table_init(WorkerTable *table);

/*
 * Returns the worker of this path in @ret, with one more reference; makes it if needed. Returns 0, -ENOMEM, or -ENAMETOOLONG if
 * the path does not fit into a socket address.
 */
int worker_get(WorkerTable *table, const char *path, Worker **ret);

/* Drops one reference. A worker without one stays in WorkerTable.unused until the end of the turn. */
void worker_put(WorkerTable *table, Worker *w);

/* Frees a worker of WorkerTable.unused that has no persistent connection. */
void worker_table_remove(WorkerTable *table, Worker *w);

/* Asks for the queues of its pools to be served at the end of the turn. */
void worker_serve_later(WorkerTable *table, Worker *w);

/* The worker of this number, or NULL. */
Worker *worker_find_number(const WorkerTable *table, uint32_t number);

/* True if it gets no client, and only the worker itself can change that. */
static inline bool worker_is_lost(const Worker *w) {
        return w->unreachable || w->n_hanging > 0;
}

/* True if it may get a client now. */
bool worker_is_ready(const Worker *w, usec_t now);

/* Keeps clients away from it: 10 ms at first, up to 250 ms. Failures within one wait count once. */
void worker_back_off(Worker *w, usec_t now);

/* Ends that wait, because a receipt came. */
void worker_recovered(Worker *w);
