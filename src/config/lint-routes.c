/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config/lint-checks.h"

/* Largest number of steps that the broker follows Fallback= (delivery.c). */
#define STEPS_MAX 4

/* Returns the route that Fallback= leads to, or NULL. */
static const RouteConfig *lint_routes_next(const Lint *l, const RouteConfig *route) {
        return route->fallback == FALLBACK_ROUTE ? lint_find_route(l, route->failure_route) : NULL;
}

/* True if the fallbacks lead back to @route. */
static bool lint_routes_is_circle(const Lint *l, const RouteConfig *route) {
        const RouteConfig *next = lint_routes_next(l, route);

        for (unsigned i = 0; next && next != route && i < STEPS_MAX; i++)
                next = lint_routes_next(l, next);

        return next == route;
}

/* The broker itself logs a fallback that is no other route. */
void lint_fallback(const Lint *l, const Unit *unit, const RouteConfig *route) {
        Assignment *a = lint_in_effect(unit, SECTION_FDPASS, "Fallback");

        if (!a || route->fallback != FALLBACK_ROUTE)
                return;

        if (streq(route->failure_route, route->unit)) {
                if (l->sees_files)
                        lint_warn(l, unit, a, "Fallback=%.60s leads to this unit itself, so its clients are refused; "
                                  "name another route's unit, or remove the line.", a->value);
        } else if (!lint_find_route(l, route->failure_route)) {
                if (l->sees_files)
                        lint_warn(l, unit, a, "Fallback=%.60s names no route, so the clients are refused. Enable that "
                                  "unit, or name another one.", a->value);
        } else if (lint_routes_is_circle(l, route))
                lint_warn(l, unit, a, "Fallback=%.60s leads back to %s, so a client that no worker takes goes in a "
                          "circle until it is refused; let one of the units say Fallback=refuse.", a->value,
                          route->unit);
}

static int lint_routes_compare_workers(const void *a, const void *b) {
        const RouteConfig *x = *(const RouteConfig *const *) a, *y = *(const RouteConfig *const *) b;
        int r = strcmp(x->worker, y->worker);

        return r != 0 ? r : strcmp(x->unit, y->unit);
}

/* systemd opens only the first of two sockets with one path. */
static int lint_routes_report_same(const Lint *l, const RouteConfig *first, const RouteConfig *other) {
        _cleanup_(unit_freep) Unit *unit = NULL;
        Assignment *listen;
        int r;

        r = unit_load(l->path, other->unit, &unit);
        if (r != 0)
                return r < 0 ? r : 0;

        listen = lint_listen_line(unit);
        if (listen)
                lint_warn(l, unit, listen, "%s listens on %s too, but only one of them can be started; use another "
                          "path, or put the keys of both into one unit.", first->unit, other->worker);
        return 0;
}

int lint_same_sockets(const Lint *l) {
        _cleanup_free_ const RouteConfig **routes = NULL;
        size_t n = 0;
        int r = 0;

        routes = calloc(MAX(l->config->n_routes, (size_t) 1), sizeof(*routes));
        if (!routes)
                return -ENOMEM;

        for (size_t i = 0; i < l->config->n_routes; i++)
                if (!l->config->routes[i].transport_is_open)
                        routes[n++] = &l->config->routes[i];
        qsort(routes, n, sizeof(*routes), lint_routes_compare_workers);

        for (size_t i = 1; r >= 0 && i < n; i++)
                if (streq(routes[i - 1]->worker, routes[i]->worker))
                        r = lint_routes_report_same(l, routes[i - 1], routes[i]);

        return r;
}
