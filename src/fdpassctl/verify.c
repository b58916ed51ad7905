/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpassctl verify: checks all units. */

#include <fcntl.h>
#include <stdio.h>

#include "basic/fd.h"
#include "match/match.h"
#include "fdpassctl/load-units.h"
#include "fdpassctl/options.h"
#include "fdpassctl/verbs.h"
#include "handoff/socket-path.h"

/* Checks that the routes and listeners exist that a route names. One unit alone can't be checked for that. */
static void verify_names(const Config *config) {
        for (size_t i = 0; i < config->n_routes; i++) {
                const RouteConfig *route = &config->routes[i];

                if (route->fallback == FALLBACK_ROUTE && !load_find_route(config, route->failure_route))
                        load_warn(route, "Fallback", route->failure_route, "There is no such route.");

                for (char **l = route->match.listeners; l && *l; l++)
                        if (!load_find_listener_name(config, *l))
                                load_warn(route, "Listener", *l, "No public socket of this name is enabled.");
        }
}

/* Checks that all routes of a pool name the same flusher, because the broker uses that of the pool's first route. */
static void verify_flushers(const Config *config) {
        for (size_t i = 0; i < config->n_routes; i++)
                for (size_t k = 0; k < i; k++) {
                        const RouteConfig *first = &config->routes[k], *other = &config->routes[i];

                        if (match_compare(&first->match, &other->match) != 0)
                                continue;
                        if (!route_config_flushes_alike(first, other))
                                load_warn(other, "Flusher", other->flusher ?: "none",
                                          "Another unit that takes the same clients decides that, and the response.");
                        break;
                }
}

/* Returns the key that the worker's path comes from. */
static const char *verify_worker_key(const RouteConfig *route) {
        static const char *const keys[] = {
                [TRANSPORT_STREAM] = "ListenStream",
                [TRANSPORT_SEQPACKET] = "ListenSequentialPacket",
        };

        return route->transport_is_open ? "Worker" : keys[route->transport];
}

/*
 * Checks the directories above the worker's socket. The socket itself may be missing: systemd may not have created it
 * yet.
 */
static void verify_path(int root_fd, const RouteConfig *route) {
        const char *key = verify_worker_key(route);
        char text[256];
        SocketPath path;
        int r;

        r = socket_path_walk(root_fd, route->worker, /* owner= */ 0, &path);
        fd_close(path.fd);

        if (r == -ELOOP)
                load_warn(route, key, route->worker,
                          "A part of this path is a symbolic link, and the broker follows none.");

        if (path.n_shared > 0) {
                (void) snprintf(text, sizeof(text),
                                "Others than root can write to %.*s, and decide which socket is there.",
                                (int) path.n_shared, route->worker);
                load_warn(route, key, route->worker, text);
        }
}

/* Checks nothing below another root, because the directories there may have any owner. */
static void verify_paths(const Config *config) {
        _cleanup_close_ int root_fd = streq(arg_root, "/") ? open("/", O_PATH | O_DIRECTORY | O_CLOEXEC) : -EBADF;

        for (size_t i = 0; root_fd >= 0 && i < config->n_routes; i++)
                verify_path(root_fd, &config->routes[i]);
}

int verb_verify(int argc, char *argv[]) {
        _cleanup_(config_freep) Config *config = NULL;

        config = load_units();
        if (!config)
                return EXIT_FAILURE;

        verify_names(config);
        verify_flushers(config);
        verify_paths(config);
        if (load_lint(config) < 0)
                return EXIT_FAILURE;
        if (!arg_quiet)
                printf("%zu route%s, %u error%s, %u warning%s.\n", config->n_routes, config->n_routes == 1 ? "" : "s",
                       config->n_errors, config->n_errors == 1 ? "" : "s", load_n_warnings,
                       load_n_warnings == 1 ? "" : "s");

        return config->n_errors > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
