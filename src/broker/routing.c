/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/routing.h"

#include "broker/broker.h"
#include "broker/pool.h"

static size_t n_listeners(const RouteConfig *c) {
        size_t n = 0;

        for (char **l = c->listeners; l && *l; l++)
                n++;

        return n;
}

static int compare_listeners(const RouteConfig *a, const RouteConfig *b) {
        size_t n = n_listeners(a), k = n_listeners(b);

        /* A route that names its listeners is more specific than one that takes any. */
        if ((n == 0) != (k == 0))
                return n == 0 ? 1 : -1;

        for (size_t i = 0; i < MIN(n, k); i++) {
                int d = strcmp(a->listeners[i], b->listeners[i]);

                if (d != 0)
                        return d;
        }

        return (n > k) - (n < k);
}

/* The rank by what routes match; 0: exactly the same clients. */
static int compare_match(const RouteConfig *a, const RouteConfig *b) {
        if (a->priority != b->priority)
                return a->priority > b->priority ? -1 : 1;

        return compare_listeners(a, b);
}

static int compare_routes(const void *x, const void *y) {
        const RouteConfig *a = ((const Route *) x)->config, *b = ((const Route *) y)->config;
        int d = compare_match(a, b);

        /* Within one rank the order is that of the units' names, whatever order they were read in. */
        return d != 0 ? d : strcmp(a->unit, b->unit);
}

static int init_routes(Routing *routing) {
        const Config *config = routing->config;
        int r;

        routing->routes = calloc(MAX(config->n_routes, (size_t) 1), sizeof(*routing->routes));
        if (!routing->routes)
                return -ENOMEM;

        for (size_t i = 0; i < config->n_routes; i++) {
                Route *route = &routing->routes[i];

                r = worker_get(&routing->broker->workers, config->routes[i].worker, &route->worker);
                if (r < 0)
                        return r;

                route->config = &config->routes[i];
                routing->n_routes++;
        }

        qsort(routing->routes, routing->n_routes, sizeof(*routing->routes), compare_routes);

        /* Only now: sorting moves them. */
        for (size_t i = 0; i < routing->n_routes; i++)
                list_init(&routing->routes[i].waiting_link);

        return 0;
}

static int init_pools(Routing *routing) {
        int r;

        routing->pools = calloc(MAX(routing->n_routes, (size_t) 1), sizeof(*routing->pools));
        if (!routing->pools)
                return -ENOMEM;

        for (size_t i = 0, k; i < routing->n_routes; i = k) {
                for (k = i + 1; k < routing->n_routes; k++)
                        if (compare_match(routing->routes[i].config, routing->routes[k].config) != 0)
                                break;

                r = pool_init(&routing->pools[routing->n_pools], routing, &routing->routes[i], k - i);
                if (r < 0)
                        return r;

                routing->n_pools++;
        }

        return 0;
}

static Routing *routing_free(Routing *routing) {
        if (!routing)
                return NULL;

        for (size_t i = 0; i < routing->n_pools; i++)
                pool_done(&routing->pools[i]);
        free(routing->pools);

        for (size_t i = 0; i < routing->n_routes; i++)
                worker_put(&routing->broker->workers, routing->routes[i].worker);
        free(routing->routes);

        config_free(routing->config);
        free(routing);
        return NULL;
}

int routing_new(Broker *b, Config *config, Routing **ret) {
        Routing *routing = calloc(1, sizeof(*routing));
        int r;

        if (!routing)
                return -ENOMEM;

        routing->broker = b;
        routing->n_ref = 1;
        routing->config = config;

        r = init_routes(routing);
        if (r >= 0)
                r = init_pools(routing);
        if (r < 0) {
                routing->config = NULL; /* still the caller's */
                routing_free(routing);
                return r;
        }

        *ret = routing;
        return 0;
}

Routing *routing_ref(Routing *routing) {
        routing->n_ref++;
        return routing;
}

Routing *routing_unref(Routing *routing) {
        if (!routing || --routing->n_ref > 0)
                return NULL;

        return routing_free(routing);
}

static bool pool_takes(const Pool *p, const char *listener) {
        char **listeners = p->routes[0].config->listeners;

        if (!listeners || !*listeners)
                return true;

        for (char **l = listeners; *l; l++)
                if (streq(*l, listener))
                        return true;

        return false;
}

Pool *routing_find(Routing *routing, const char *listener) {
        for (size_t i = 0; i < routing->n_pools; i++)
                if (pool_takes(&routing->pools[i], listener))
                        return &routing->pools[i];

        return NULL;
}
