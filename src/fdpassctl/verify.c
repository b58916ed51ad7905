/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpassctl verify: are all units right? */

#include <stdio.h>

#include "basic/output.h"
#include "broker/match.h"
#include "fdpassctl/fdpassctl.h"

static void warn(const RouteConfig *route, const char *key, const char *value, const char *what) {
        n_warnings++;
        if (arg_quiet)
                return;

        output_text(stderr, route->path);
        fprintf(stderr, ": warning: %s=", key);
        output_text(stderr, value);
        fprintf(stderr, ": %s\n", what);
}

static bool has_route(const Config *config, const char *unit) {
        for (size_t i = 0; i < config->n_routes; i++)
                if (streq(config->routes[i].unit, unit))
                        return true;

        return false;
}

static bool has_listener(const Config *config, const char *name) {
        for (size_t i = 0; i < config->n_listeners; i++)
                if (streq(config->listeners[i].name, name))
                        return true;

        return false;
}

/* What each unit alone can't know: whether those are there that it names. */
static void check_names(const Config *config) {
        for (size_t i = 0; i < config->n_routes; i++) {
                const RouteConfig *route = &config->routes[i];

                if (route->on_failure == ON_FAILURE_ROUTE && !has_route(config, route->failure_route))
                        warn(route, "OnFailure", route->failure_route, "There is no such route.");

                for (char **l = route->match.listeners; l && *l; l++)
                        if (!has_listener(config, *l))
                                warn(route, "Listener", *l, "No public socket of this name is enabled.");
        }
}

/* Routes that take the same clients share a flusher: that of the first by name, which is the first here too. */
static void check_flushers(const Config *config) {
        for (size_t i = 0; i < config->n_routes; i++)
                for (size_t k = 0; k < i; k++) {
                        const RouteConfig *first = &config->routes[k], *other = &config->routes[i];

                        if (match_compare(&first->match, &other->match) != 0)
                                continue;
                        if (!route_config_flushes_alike(first, other))
                                warn(other, "Flusher", other->flusher ?: "none",
                                     "Another unit that takes the same clients decides that, and the response.");
                        break;
                }
}

int verb_verify(int argc, char *argv[]) {
        _cleanup_(config_freep) Config *config = NULL;

        int i = parse_common(argc, argv);

        if (i <= 0)
                return i < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        if (i < argc) {
                fprintf(stderr, "verify takes no arguments: it looks at all units.\n");
                return EXIT_FAILURE;
        }

        config = units_load();
        if (!config)
                return EXIT_FAILURE;

        check_names(config);
        check_flushers(config);
        if (units_lint(config) < 0)
                return EXIT_FAILURE;
        if (!arg_quiet)
                printf("%zu route%s, %u error%s, %u warning%s.\n", config->n_routes, config->n_routes == 1 ? "" : "s",
                       config->n_errors, config->n_errors == 1 ? "" : "s", n_warnings, n_warnings == 1 ? "" : "s");

        return config->n_errors > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
