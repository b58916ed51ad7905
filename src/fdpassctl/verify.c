/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpassctl verify: are all units right? */

#include <fcntl.h>
#include <stdio.h>

#include "basic/fd.h"
#include "basic/output.h"
#include "broker/match.h"
#include "fdpassctl/fdpassctl.h"
#include "handoff/socket-path.h"

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

                if (route->fallback == FALLBACK_ROUTE && !has_route(config, route->failure_route))
                        warn(route, "Fallback", route->failure_route, "There is no such route.");

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

static const char *key_of_worker(const RouteConfig *route) {
        static const char *const keys[] = {
                [WORKER_STREAM] = "ListenStream",
                [WORKER_SEQPACKET] = "ListenSequentialPacket",
        };

        return route->form_is_open ? "Worker" : keys[route->form];
}

/* The socket itself need not be there yet. */
static void check_path(int root_fd, const RouteConfig *route) {
        const char *key = key_of_worker(route);
        char text[256];
        SocketPath path;
        int r;

        r = socket_path_walk(root_fd, route->worker, /* owner= */ 0, &path);
        fd_close(path.fd);

        if (r == -ELOOP)
                warn(route, key, route->worker, "A part of this path is a symbolic link, and the broker follows none.");

        if (path.n_shared > 0) {
                (void) snprintf(text, sizeof(text), "Others than root can write to %.*s, and decide which socket is there.",
                                (int) path.n_shared, route->worker);
                warn(route, key, route->worker, text);
        }
}

/* Another root's directories belong to those who made them. */
static void check_paths(const Config *config) {
        _cleanup_close_ int root_fd = streq(arg_root, "/") ? open("/", O_PATH | O_DIRECTORY | O_CLOEXEC) : -EBADF;

        for (size_t i = 0; root_fd >= 0 && i < config->n_routes; i++)
                check_path(root_fd, &config->routes[i]);
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
        check_paths(config);
        if (units_lint(config) < 0)
                return EXIT_FAILURE;
        if (!arg_quiet)
                printf("%zu route%s, %u error%s, %u warning%s.\n", config->n_routes, config->n_routes == 1 ? "" : "s",
                       config->n_errors, config->n_errors == 1 ? "" : "s", n_warnings, n_warnings == 1 ? "" : "s");

        return config->n_errors > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
