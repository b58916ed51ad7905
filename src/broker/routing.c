/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/routing.h"

#include "basic/array.h"
#include "broker/broker.h"
#include "broker/diag.h"
#include "broker/listener.h"
#include "broker/pool.h"

static int compare_routes(const void *x, const void *y) {
        const RouteConfig *a = ((const Route *) x)->config, *b = ((const Route *) y)->config;
        int d = match_compare(&a->match, &b->match);

        /* Within one pool the order is that of the units' names, whatever order they were read in. */
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
                route->form = route->config->form;
                routing->n_routes++;

                r = route_stats_get(route->worker, route->config->unit, &route->stats);
                if (r < 0)
                        return r;
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
                        if (match_compare(&routing->routes[i].config->match, &routing->routes[k].config->match) != 0)
                                break;

                /* Counted first: a pool that is made in part only is cleared as well. */
                r = pool_init(&routing->pools[routing->n_pools++], routing, &routing->routes[i], k - i);
                if (r < 0)
                        return r;
        }

        return 0;
}

static int compare_with_unit(const void *unit, const void *config) {
        return strcmp(unit, ((const RouteConfig *) config)->unit);
}

/* All routes may name one for their failures, so that looking through all of them for each is not an option. */
static Pool *find_pool_of(const Routing *routing, const char *unit) {
        const Config *config = routing->config;
        Route key = {}, *route;

        key.config = bsearch(unit, config->routes, config->n_routes, sizeof(*config->routes), compare_with_unit);
        if (!key.config)
                return NULL;

        route = bsearch(&key, routing->routes, routing->n_routes, sizeof(*routing->routes), compare_routes);
        return route ? route->pool : NULL;
}

/* Only now are all pools there. */
static void init_failure_pools(Routing *routing) {
        for (size_t i = 0; i < routing->n_pools; i++) {
                Pool *p = &routing->pools[i];
                const RouteConfig *first = p->routes[0].config;

                if (first->fallback != FALLBACK_ROUTE)
                        continue;

                p->failure_pool = find_pool_of(routing, first->failure_route);
                if (!p->failure_pool || p->failure_pool == p) {
                        diag_unknown_failure_route(routing->broker, first);
                        p->failure_pool = NULL;
                }
        }
}

/* Those that share their clients have one flusher: a client that was flushed for one of them may go to any other. */
static void check_flushers(const Routing *routing) {
        for (size_t i = 0; i < routing->n_routes; i++) {
                const RouteConfig *first = routing->routes[i].pool->routes[0].config, *other = routing->routes[i].config;

                if (!route_config_flushes_alike(first, other))
                        diag_flushers_differ(routing->broker, first, other);
        }
}

static int init_index(Routing *routing) {
        int r;

        r = match_index_new(&routing->index);
        if (r < 0)
                return r;

        for (size_t i = 0; i < routing->n_pools; i++) {
                const RouteMatch *match = &routing->pools[i].routes[0].config->match;

                routing->has_hosts = routing->has_hosts || match->hosts;

                if (match->n_prefixes > 0) {
                        if (!ARRAY_GROW(routing->prefix_pools, routing->n_prefix_pools))
                                return -ENOMEM;
                        routing->prefix_pools[routing->n_prefix_pools++] = &routing->pools[i];
                }

                r = match_index_add(routing->index, match, routing->pools[i].routes[0].config->unit, i);
                if (r < 0)
                        return r;
        }

        return match_index_finish(routing->index);
}

void routing_reap(Routing *routing) {
        list_remove(&routing->link);
        match_index_free(routing->index);
        free(routing->prefix_pools);

        for (size_t i = 0; i < routing->n_pools; i++)
                pool_done(&routing->pools[i]);
        free(routing->pools);

        /* From behind: where the sockets' paths go like the routes, no worker's end moves the others in their table. */
        for (size_t i = routing->n_routes; i > 0; i--) {
                route_stats_put(routing->routes[i - 1].stats);
                worker_put(&routing->broker->workers, routing->routes[i - 1].worker);
        }
        free(routing->routes);

        config_free(routing->config);
        free(routing);
}

int routing_new(Broker *b, Config *config, Routing **ret) {
        Routing *routing = calloc(1, sizeof(*routing));
        int r;

        if (!routing)
                return -ENOMEM;

        list_init(&routing->link);
        routing->broker = b;
        routing->n_ref = 1;
        routing->config = config;

        r = init_routes(routing);
        if (r >= 0)
                r = init_pools(routing);
        if (r >= 0)
                r = init_index(routing);
        if (r >= 0)
                init_failure_pools(routing);
        if (r >= 0)
                check_flushers(routing);
        if (r < 0) {
                routing->config = NULL; /* still the caller's */
                routing_reap(routing);
                return r;
        }

        *ret = routing;
        return 0;
}

Routing *routing_ref(Routing *routing) {
        routing->n_ref++;
        return routing;
}

/* The last reference only retires it: functions of this turn may still use it. */
Routing *routing_unref(Routing *routing) {
        if (routing && --routing->n_ref == 0)
                list_append(&routing->broker->retired, &routing->link);

        return NULL;
}

static bool is_for_listener(const Pool *p, const char *listener) {
        return match_first_miss(&p->routes[0].config->match, &(Facts){ .listener = listener }) != MATCH_LISTENER;
}

bool routing_needs_head(const Routing *routing, const Listener *l) {
        bool needs = false, has_own = false, own_needs = false;

        for (size_t i = 0; i < routing->n_pools; i++) {
                const RouteMatch *match = &routing->pools[i].routes[0].config->match;

                if (!is_for_listener(&routing->pools[i], l->name))
                        continue;

                needs = needs || match_needs_head(match);
                if (match->listeners) {
                        has_own = true;
                        own_needs = own_needs || match_needs_head(match);
                }
        }

        return l->carries == SOCK_STREAM && has_own ? own_needs : needs;
}

bool routing_prefix_needs_more(const Routing *routing, const char *listener, Slice head) {
        for (size_t i = 0; i < routing->n_prefix_pools; i++) {
                const Pool *p = routing->prefix_pools[i];
                const RouteMatch *match = &p->routes[0].config->match;

                if (!is_for_listener(p, listener))
                        continue;

                for (size_t k = 0; k < match->n_prefixes; k++)
                        if (probe_prefix(head.p, head.n, (Slice){ match->prefixes[k].p, match->prefixes[k].n }) ==
                            PROBE_NEED_MORE)
                                return true;
        }

        return false;
}

const ListenerConfig *routing_listener_config(const Routing *routing, const char *listener) {
        const Config *config = routing->config;

        for (size_t i = 0; i < config->n_listeners; i++)
                if (streq(config->listeners[i].name, listener))
                        return &config->listeners[i];

        return &config->listener_default;
}
