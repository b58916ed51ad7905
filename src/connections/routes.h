/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Routes and workers as far as they have connections, and what is counted for them. They are no part of a configuration:
 * connections outlive the configuration by which they were routed.
 */

#include "basic/macro.h"
#include "connections/durations.h"

/* Largest number of routes with connections. */
#define CONNECTION_ROUTES_MAX 16384

typedef struct ConnectionRoute ConnectionRoute;
typedef struct ConnectionRoutes ConnectionRoutes;

typedef struct ConnectionWorker {
        char *path;         /* path of the worker's socket; owned */
        unsigned n_ref;     /* length of @routes */
        ConnectionRoute *routes; /* ConnectionRoute.next */
        size_t n_live;      /* connections that the worker has, by any route */
} ConnectionWorker;

struct ConnectionRoute {
        char *unit;         /* name of the unit; owned */
        ConnectionWorker *worker;
        ConnectionRoutes *owner;
        ConnectionRoute *next; /* in ConnectionWorker.routes */
        unsigned n_ref;     /* live connections, those handed back, and routes of the configuration */
        uint16_t number;    /* index in ConnectionRoutes.routes */
        bool is_stored;     /* its names are in the store (table.c) */

        size_t n_live;      /* connections that its worker has by this route */
        uint64_t n_ended;   /* those whose end was seen, since the start */
        uint64_t n_unseen;  /* those that have ended, and whose end was not seen */
        uint64_t n_in, n_out; /* bytes from the clients and to them, of connections that have ended or were handed on */
        ConnectionDurations durations; /* of those that have ended, from the client's arrival */
};

struct ConnectionRoutes {
        ConnectionRoute **routes; /* by ConnectionRoute.number; NULL: the number is free */
        size_t n_routes;          /* length of @routes */
        size_t first_free;        /* no number below it is free */
        ConnectionWorker **workers; /* sorted by path */
        size_t n_workers;
};

/*
 * Returns the route of @unit to the worker at @path in *ret, with one more reference. Makes it if needed. Returns 0,
 * -ENOMEM, or -ENOSPC if there are CONNECTION_ROUTES_MAX.
 */
int connection_route_get(ConnectionRoutes *r, const char *unit, const char *path, ConnectionRoute **ret);

/*
 * Returns the route of another process, which had this number there. Does the same otherwise. No other number changes.
 */
int connection_route_restore(ConnectionRoutes *r, uint16_t number, const char *unit, const char *path,
                             ConnectionRoute **ret);

/* Drops one reference. Frees the route and its counts with the last one. Does nothing for NULL. */
void connection_route_put(ConnectionRoute *route);

/* Returns the worker at @path, or NULL if it has no route here. */
ConnectionWorker *connection_worker_find(const ConnectionRoutes *r, const char *path);

void connection_routes_done(ConnectionRoutes *r);
