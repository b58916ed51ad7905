/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/state/routing.h"

#include "basic/hash.h"

static int routing_compare_routes(const void *x, const void *y) {
        const RouteConfig *a = ((const Route *) x)->config, *b = ((const Route *) y)->config;
        int d = match_compare(&a->match, &b->match);

        if (d != 0)
                return d;

        /*
         * The routes of one pool are sorted by the names of their units. One that redirects comes first, so that its
         * settings hold for the pool: it has no worker, so no client may be sent there.
         */
        return a->redirects != b->redirects ? (a->redirects ? -1 : 1) : strcmp(a->unit, b->unit);
}

static int routing_init_routes(Routing *routing) {
        const Config *config = routing->config;
        int r;

        routing->routes = calloc(MAX(config->n_routes, (size_t) 1), sizeof(*routing->routes));
        if (!routing->routes)
                return -ENOMEM;

        for (size_t i = 0; i < config->n_routes; i++) {
                Route *route = &routing->routes[i];

                r = worker_get(routing->shared->workers, config->routes[i].worker, &route->worker);
                if (r < 0)
                        return r;

                route->config = &config->routes[i];
                route->transport = route->config->transport;
                routing->n_routes++;

                r = route_stats_get(route->worker, route->config->unit, &route->stats);
                if (r < 0)
                        return r;
        }

        qsort(routing->routes, routing->n_routes, sizeof(*routing->routes), routing_compare_routes);

        /* qsort(3) moves routes in memory, so lists can link them only now. */
        for (size_t i = 0; i < routing->n_routes; i++)
                list_init(&routing->routes[i].waiting_link);

        return 0;
}

static int routing_init_pool(Pool *p, Routing *routing, Route *routes, size_t n_routes) {
        *p = (Pool){ .routing = routing, .routes = routes, .n_routes = n_routes, .config = routes[0].config };
        waiting_init(&p->again, &p->timer);
        waiting_init(&p->queue, &p->timer);
        list_init(&p->waiting_link);
        held_line_init(&p->full);
        held_line_init(&p->expired);
        held_line_init(&p->flusher_failures);
        p->place_at = &p->queue.waits;

        for (size_t i = 0; i < n_routes; i++) {
                routes[i].pool = p;
                routes[i].hash = hash_string(routes[i].worker->path);
                p->has_backup = p->has_backup || routes[i].config->backup;
                p->max_queued += routes[i].config->max_queued;
                p->queue_timeout = MAX(p->queue_timeout, routes[i].config->queue_timeout_usec);
        }

        return timer_init(&p->timer, routing->shared->loop, routing->shared->on_pool_timer, p);
}

static void routing_done_pool(Pool *p) {
        held_line_done(&p->full);
        held_line_done(&p->expired);
        held_line_done(&p->flusher_failures);
        timer_done(&p->timer);
}

static int routing_init_pools(Routing *routing) {
        int r;

        routing->pools = calloc(MAX(routing->n_routes, (size_t) 1), sizeof(*routing->pools));
        if (!routing->pools)
                return -ENOMEM;

        for (size_t i = 0, k; i < routing->n_routes; i = k) {
                for (k = i + 1; k < routing->n_routes; k++)
                        if (match_compare(&routing->routes[i].config->match, &routing->routes[k].config->match) != 0)
                                break;

                /* The pool is counted first, so that routing_free() also frees one that is incomplete. */
                r = routing_init_pool(&routing->pools[routing->n_pools++], routing, &routing->routes[i], k - i);
                if (r < 0)
                        return r;
        }

        return 0;
}

static int routing_compare_with_unit(const void *unit, const void *config) {
        return strcmp(unit, ((const RouteConfig *) config)->unit);
}

/* Returns the pool of @unit, or NULL. It is a binary search, because each of many routes may have Fallback=. */
static Pool *routing_find_pool_of(const Routing *routing, const char *unit) {
        const Config *config = routing->config;
        Route key = {}, *route;

        key.config = bsearch(unit, config->routes, config->n_routes, sizeof(*config->routes), routing_compare_with_unit);
        if (!key.config)
                return NULL;

        route = bsearch(&key, routing->routes, routing->n_routes, sizeof(*routing->routes), routing_compare_routes);
        return route ? route->pool : NULL;
}

/*
 * Sets Pool.fallback_pool of all pools, which have to exist. It stays NULL if Fallback= names no other pool, and
 * broker.c warns about that.
 */
static void routing_init_fallback_pools(Routing *routing) {
        for (size_t i = 0; i < routing->n_pools; i++) {
                Pool *p = &routing->pools[i];

                if (p->config->fallback != FALLBACK_ROUTE)
                        continue;

                p->fallback_pool = routing_find_pool_of(routing, p->config->failure_route);
                if (p->fallback_pool == p)
                        p->fallback_pool = NULL;
        }
}

static int routing_init_index(Routing *routing) {
        int r;

        r = match_index_new(&routing->index);
        if (r < 0)
                return r;

        for (size_t i = 0; i < routing->n_pools; i++) {
                const RouteConfig *config = routing->pools[i].config;

                r = match_index_add(routing->index, &config->match, config->unit, i);
                if (r < 0)
                        return r;
        }

        return match_index_finish(routing->index);
}

void routing_free(Routing *routing) {
        list_remove(&routing->link);
        scope_cache_done(&routing->scopes);
        match_index_free(routing->index);

        for (size_t i = 0; i < routing->n_pools; i++)
                routing_done_pool(&routing->pools[i]);
        free(routing->pools);

        /* In reverse order, because the table of workers is sorted by path. Removing its last member moves no other. */
        for (size_t i = routing->n_routes; i > 0; i--) {
                route_stats_put(routing->routes[i - 1].stats);
                worker_put(routing->shared->workers, routing->routes[i - 1].worker);
        }
        free(routing->routes);

        config_free(routing->config);
        free(routing);
}

int routing_new(RoutingShared *shared, Config *config, Routing **ret) {
        Routing *routing = calloc(1, sizeof(*routing));
        int r;

        if (!routing)
                return -ENOMEM;

        list_init(&routing->link);
        routing->shared = shared;
        routing->n_ref = 1;
        routing->config = config;

        r = routing_init_routes(routing);
        if (r >= 0)
                r = routing_init_pools(routing);
        if (r >= 0)
                r = routing_init_index(routing);
        if (r < 0) {
                routing->config = NULL; /* @config is not consumed */
                routing_free(routing);
                return r;
        }

        routing_init_fallback_pools(routing);
        routing->scopes.index = routing->index;
        routing->scopes.generation = ++shared->generation;
        *ret = routing;
        return 0;
}

Routing *routing_ref(Routing *routing) {
        routing->n_ref++;
        return routing;
}

Routing *routing_unref(Routing *routing) {
        if (routing && --routing->n_ref == 0)
                list_append(&routing->shared->retired, &routing->link);

        return NULL;
}

void pool_take_client(Pool *p, Client *c) {
        c->pool = p;
        p->n_clients++;
        routing_ref(p->routing);
}

void pool_release_client(Client *c) {
        Pool *p = TAKE_PTR(c->pool);

        if (!p)
                return;

        c->sent.route = NULL; /* the route is freed with its generation */
        p->n_clients--;
        routing_unref(p->routing);
}

/*
 * In the stream form a sender may have read the head of the request. So if routes ask for this return socket, and none
 * of them for bytes, the client gets its route at once, even if other routes ask for bytes.
 */
static bool routing_has_plain_routes_of(const Routing *routing, const Listener *l) {
        bool has_own = false;

        for (size_t i = 0; i < routing->n_pools; i++) {
                const RouteMatch *match = &routing->pools[i].config->match;

                if (!match->listeners || !match_is_for_listener(match, l->name))
                        continue;
                if (match_needs_head(match))
                        return false;
                has_own = true;
        }

        return has_own;
}

bool routing_needs_head(const Routing *routing, const Listener *l) {
        if (config_listener(routing->config, l->name)->is_unread)
                return false;
        if (l->is_return && l->type == SOCK_STREAM && routing_has_plain_routes_of(routing, l))
                return false;

        return match_index_needs_head(routing->index, l->name);
}
