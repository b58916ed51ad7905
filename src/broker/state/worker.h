/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A worker as the broker knows it: the path of its socket, and how it has behaved. It lives as long as a generation of
 * routes refers to it. So clients in its backlog count across reloads.
 */

#include <sys/socket.h>
#include <sys/un.h>

#include "basic/list.h"
#include "basic/time.h"
#include "broker/state/held-line.h"

typedef struct ConnectionWorker ConnectionWorker;
typedef struct RouteStats RouteStats;

typedef struct Worker {
        char *path;           /* "": no worker, for routes with Flusher=redirect */
        uint32_t number;      /* from 1; the helper names a worker by it, because it can't keep a pointer */
        struct sockaddr_un address;
        socklen_t address_len;
        unsigned n_ref;       /* number of routes to it, of all generations */
        bool is_private;      /* only root and the broker's user can change where @path leads; false: not known yet */

        unsigned n_pending;   /* clients sent to it without a receipt */
        usec_t waits_since;   /* CLOCK_MONOTONIC: it has had clients to take since then; valid with @n_pending */

        bool unreachable;     /* connecting failed, and not because the backlog is full */
        usec_t unreachable_since; /* CLOCK_MONOTONIC; valid with @unreachable */
        int unreachable_error; /* negative errno of the last attempt */
        unsigned n_gone;      /* times that it became unreachable since the last line about that */
        bool gone_logged;     /* the log says that it is unreachable now */
        RateLimit edges;      /* limit of the lines about that */
        usec_t failed_at;     /* CLOCK_MONOTONIC; time of the last failure; 0: there was none */
        usec_t retry_at;      /* CLOCK_MONOTONIC; it gets no client before; 0: no wait */
        usec_t back_off;      /* length of the last wait; the next one is twice as long */

        List persistent;      /* PersistentConn.link */
        unsigned n_persistent;
        unsigned n_until_search; /* clients on these before one goes to its backlog, where another process may take it */
        unsigned search_interval;

        List serve_link;      /* WorkerTable.to_serve, from worker_serve_later() to the end of the turn */
        List unused_link;     /* WorkerTable.unused, while no route refers to it */

        List waiting;         /* Route.waiting_link: routes to it whose pools have queued clients */
        size_t n_waiting;     /* length of @waiting */
        unsigned max_pending; /* largest MaxPending= of the routes that were in @waiting since it was empty */

        unsigned n_hanging;   /* calls of the helper that hang at its clients' sockets; if not 0 it gets no client */
        usec_t hanging_since; /* CLOCK_MONOTONIC; valid with @n_hanging */

        const ConnectionWorker *connections; /* its live connections; NULL: they are not counted. Borrowed from a route */

        bool unresponsive;    /* it took no client for a long time, and the log says so */
        bool compares_next;   /* it has sent NEXT, so it compares the first request of a client that comes with NEXT */
        bool is_drained;      /* an administrator wants it to get no more clients */

        uint64_t n_taken;     /* clients with a receipt, by any route */
        uint64_t n_rerouted;  /* of @n_taken, clients that a worker had handed back for their next request */
        uint64_t n_unread;    /* handoffs that it left unread */
        RouteStats **stats;   /* counters of all routes to it, sorted by unit; owned */
        size_t n_stats;

        unsigned n_reset_clients; /* clients that the next line @resets counts */
        uint32_t reset_line;  /* number of lines @resets so far */
        HeldLine resets;      /* line "went away with clients unread"; its subject is one of @stats */
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
 * Returns the worker of this path in *ret, with one more reference. Makes it if needed. Returns 0, -ENOMEM, or
 * -ENAMETOOLONG if the path does not fit into a socket address.
 */
int worker_get(WorkerTable *table, const char *path, Worker **ret);

/*
 * Drops one reference. Without a reference the worker is in WorkerTable.unused until the end of the turn. Does nothing
 * for NULL.
 */
void worker_put(WorkerTable *table, Worker *w);

/* Frees a worker of WorkerTable.unused. It must have no persistent connection. */
void worker_table_remove(WorkerTable *table, Worker *w);

/* Has the queues of its pools served at the end of the turn. Does nothing if they are empty. */
void worker_serve_later(WorkerTable *table, Worker *w);

/* Returns the worker at @path, or NULL. */
Worker *worker_find(const WorkerTable *table, const char *path);

/* Returns the number of clients that the worker has or was sent. Without the kernel's reports it is Worker.n_pending. */
size_t worker_n_clients(const Worker *w);

/* Returns the worker of this number, or NULL. */
Worker *worker_find_number(const WorkerTable *table, uint32_t number);

/* True if the worker is unreachable, or a call hangs at its clients' sockets. Only the worker can change that. */
static inline bool worker_is_lost(const Worker *w) {
        return w->unreachable || w->n_hanging > 0;
}

/* True if the worker may get a client at @now: it is not drained, no call hangs, and no wait is left. */
bool worker_is_ready(const Worker *w, usec_t now);

/*
 * Ends the wait of a worker that can't be reached, so that a new client has it tried again. Otherwise clients would be
 * refused for up to 250 ms after the worker is back. Does nothing for @interval (µs) after a failure, or for another
 * worker, which took a connection.
 */
void worker_try_again(Worker *w, usec_t now, usec_t interval);

/* Keeps clients away from the worker: 10 ms at first, later up to 250 ms. Failures within one wait count once. */
void worker_back_off(Worker *w, usec_t now);

/*
 * Returns for how long the worker has had clients to take without taking one, in µs. 0: less than 2 s, or it has none.
 * A service that starts slowly takes longer, too.
 */
usec_t worker_stuck_for(const Worker *w, usec_t now);

/* Ends the wait, because the worker gave a receipt. */
void worker_recovered(Worker *w);
