/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The order of the checks. */

#include "config/lint-checks.h"

/*
 * Limits of what the broker checks at each load, so that 100,000 routes load in the same time as without checks. A
 * finding about a line is reported once for all instances of a template. `fdpassctl verify` checks all routes.
 */
#define INSTANCES_MAX 64
#define ROUTES_MAX 1000

static int lint_config_route(const Lint *l, const RouteConfig *route) {
        _cleanup_(unit_freep) Unit *unit = NULL;
        int r;

        r = unit_load(l->path, route->unit, &unit);
        if (r != 0)
                return r < 0 ? r : 0;

        lint_keys(l, unit, route);
        lint_values(l, unit, route);
        lint_listeners(l, unit, route);
        lint_fallback(l, unit, route);
        lint_route_limits(l, unit, route);

        if (route->redirects) {
                lint_redirect(l, unit, route);
                return 0;
        }

        /* With Worker= another unit creates the socket. */
        if (!streq(unit->name.type, "socket") || lint_in_effect(unit, SECTION_FDPASS, "Worker")) {
                lint_worker_path(l, unit, route, lint_in_effect(unit, SECTION_FDPASS, "Worker"));
                return 0;
        }

        lint_socket(l, unit, route);
        return lint_service(l, unit, route);
}

void lint_done(Lint *l) {
        for (size_t i = 0; i < l->n_listeners; i++) {
                free(l->listeners[i].allowed);
                free(l->listeners[i].denied);
        }
        free(l->listeners);
}

/* The routes are sorted by the names of their units, so instances of one template are side by side. */
static int lint_config_routes(const Lint *l) {
        unsigned n_alike = 0, n_checked = 0;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < l->config->n_routes; i++) {
                const RouteConfig *route = &l->config->routes[i];

                n_alike = i > 0 && streq(route->path, route[-1].path) ? n_alike + 1 : 0;
                if (l->sees_files || (n_alike < INSTANCES_MAX && n_checked++ < ROUTES_MAX))
                        r = lint_config_route(l, route);
        }

        return r;
}

int lint_config(Lint *l) {
        int r;

        r = lint_read_listeners(l);
        if (r >= 0)
                r = lint_config_routes(l);
        if (r >= 0)
                r = lint_limits(l);
        if (r >= 0)
                r = lint_same_sockets(l);
        if (r >= 0 && (l->sees_files || l->config->n_routes <= ROUTES_MAX))
                r = lint_covered(l);
        if (r >= 0 && l->sees_files)
                r = lint_links(l);

        return r;
}
