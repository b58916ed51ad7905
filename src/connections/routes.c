/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "connections/routes.h"

#include "basic/array.h"

static int routes_compare_path(const void *path, const void *member) {
        return strcmp(path, (*(ConnectionWorker *const *) member)->path);
}

static size_t routes_find_worker(const ConnectionRoutes *r, const char *path) {
        return array_find_place(path, r->workers, r->n_workers, sizeof(ConnectionWorker *), routes_compare_path);
}

ConnectionWorker *connection_worker_find(const ConnectionRoutes *r, const char *path) {
        size_t i = routes_find_worker(r, path);

        return i < r->n_workers && streq(r->workers[i]->path, path) ? r->workers[i] : NULL;
}

static ConnectionWorker *routes_add_worker(ConnectionRoutes *r, const char *path) {
        size_t i = routes_find_worker(r, path);
        ConnectionWorker *w;

        if (!ARRAY_GROW(r->workers, r->n_workers))
                return NULL;

        w = calloc(1, sizeof(*w));
        if (!w)
                return NULL;

        w->path = strdup(path);
        if (!w->path) {
                free(w);
                return NULL;
        }

        memmove(r->workers + i + 1, r->workers + i, (r->n_workers - i) * sizeof(ConnectionWorker *));
        r->workers[i] = w;
        r->n_workers++;
        return w;
}

static void routes_put_worker(ConnectionRoutes *r, ConnectionWorker *w) {
        size_t i = routes_find_worker(r, w->path);

        if (w->n_ref > 0)
                return;

        r->n_workers--;
        memmove(r->workers + i, r->workers + i + 1, (r->n_workers - i) * sizeof(ConnectionWorker *));
        free(w->path);
        free(w);
}

/* Routes with the same unit and worker are one. The worker has a list of its routes, because there may be thousands. */
static ConnectionRoute *routes_find(const ConnectionWorker *w, const char *unit) {
        for (ConnectionRoute *route = w->routes; route; route = route->next)
                if (streq(route->unit, unit))
                        return route;

        return NULL;
}

/* Returns a free number, or a negative errno. */
static int routes_take_number(ConnectionRoutes *r) {
        while (r->first_free < r->n_routes && r->routes[r->first_free])
                r->first_free++;
        if (r->first_free < r->n_routes)
                return (int) r->first_free;
        if (r->n_routes == CONNECTION_ROUTES_MAX)
                return -ENOSPC;
        if (!ARRAY_GROW(r->routes, r->n_routes))
                return -ENOMEM;

        r->routes[r->n_routes] = NULL;
        return (int) r->n_routes++;
}

/* Makes a route with this number, which must be free. */
static int routes_add(ConnectionRoutes *r, int number, const char *unit, ConnectionWorker *w, ConnectionRoute **ret) {
        ConnectionRoute *route;

        if (number < 0)
                return number;

        route = calloc(1, sizeof(*route));
        if (!route)
                return -ENOMEM;

        route->unit = strdup(unit);
        if (!route->unit) {
                free(route);
                return -ENOMEM;
        }

        route->owner = r;
        route->worker = w;
        route->number = (uint16_t) number;
        route->next = w->routes;
        w->routes = route;
        w->n_ref++;
        r->routes[number] = *ret = route;
        return 0;
}

/* @number: the number that a new route gets; -1: any. */
static int routes_get(ConnectionRoutes *r, int number, const char *unit, const char *path, ConnectionRoute **ret) {
        ConnectionWorker *w = connection_worker_find(r, path) ?: routes_add_worker(r, path);
        ConnectionRoute *route;
        int k = 0;

        if (!w)
                return -ENOMEM;

        route = routes_find(w, unit);
        if (!route)
                k = routes_add(r, number < 0 ? routes_take_number(r) : number, unit, w, &route);
        if (k < 0) {
                routes_put_worker(r, w);
                return k;
        }

        route->n_ref++;
        *ret = route;
        return 0;
}

int connection_route_get(ConnectionRoutes *r, const char *unit, const char *path, ConnectionRoute **ret) {
        return routes_get(r, -1, unit, path, ret);
}

int connection_route_restore(ConnectionRoutes *r, uint16_t number, const char *unit, const char *path,
                             ConnectionRoute **ret) {
        if (number < r->n_routes && r->routes[number]) {
                *ret = r->routes[number];
                (*ret)->n_ref++;
                return 0;
        }

        while (r->n_routes <= number) {
                if (!ARRAY_GROW(r->routes, r->n_routes))
                        return -ENOMEM;
                r->routes[r->n_routes++] = NULL;
        }

        return routes_get(r, number, unit, path, ret);
}

void connection_route_put(ConnectionRoute *route) {
        ConnectionRoute **i;
        ConnectionRoutes *r;

        if (!route || --route->n_ref > 0)
                return;

        r = route->owner;
        for (i = &route->worker->routes; *i != route; i = &(*i)->next)
                ;
        *i = route->next;
        r->routes[route->number] = NULL;
        r->first_free = MIN(r->first_free, (size_t) route->number);
        route->worker->n_ref--;
        routes_put_worker(r, route->worker);
        free(route->unit);
        free(route);
}

void connection_routes_done(ConnectionRoutes *r) {
        for (size_t i = 0; i < r->n_routes; i++)
                if (r->routes[i]) {
                        r->routes[i]->n_ref = 1;
                        connection_route_put(r->routes[i]);
                }

        free(TAKE_PTR(r->routes));
        free(TAKE_PTR(r->workers));
        r->n_routes = r->n_workers = 0;
}
