/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpassctl verify: checks all units. */

#include <fcntl.h>
#include <stdio.h>

#include "basic/fd.h"
#include "match/match.h"
#include "fdpassctl/load-units.h"
#include "fdpassctl/options.h"
#include "fdpassctl/verbs.h"
#include "fdpassctl/verify.h"
#include "fdpassctl/verify-access.h"
#include "fdpassctl/verify-back.h"
#include "fdpassctl/verify-ports.h"
#include "fdpassctl/verify-tls.h"
#include "handoff/socket-path.h"

static int verify_compare_routes(const void *a, const void *b) {
        const RouteConfig *x = *(const RouteConfig *const *) a, *y = *(const RouteConfig *const *) b;
        int d = match_compare(&x->match, &y->match);

        return d != 0 ? d : strcmp(x->unit, y->unit);
}

/* Checks a route that is a pool by itself. The other instances of a template may come later. */
static void verify_single(const RouteConfig *route) {
        char weight[16];

        if (route->weight == 1 || strchr(route->unit, '@'))
                return;

        (void) snprintf(weight, sizeof(weight), "%u", route->weight);
        load_warn(route, "Weight", weight, "It has no effect, because no other unit has exactly the same match keys; "
                  "write the same keys in the units that share these clients, or remove the line.");
}

/* Checks the routes of one pool. The broker uses the flusher of the first one for all. */
static void verify_pool(const RouteConfig *const *routes, size_t n) {
        bool has_other = false;

        for (size_t i = 0; i < n; i++) {
                has_other = has_other || !routes[i]->backup;
                if (!route_config_flushes_alike(routes[0], routes[i]))
                        load_warn(routes[i], "Flusher", routes[i]->flusher ?: "none",
                                  "Another unit that takes the same clients decides that, and the response; write the "
                                  "same in both.");
        }

        if (n == 1)
                verify_single(routes[0]);

        for (size_t i = 0; i < n && !has_other; i++)
                load_warn(routes[i], "Backup", "yes", "It has no effect, because no other unit has exactly the same "
                          "match keys; write the same keys in the unit that this one is a backup of, or remove the "
                          "line.");
}

static int verify_pools(const Config *config) {
        _cleanup_free_ const RouteConfig **routes = calloc(MAX(config->n_routes, (size_t) 1), sizeof(*routes));
        size_t n_of_pool;

        if (!routes)
                return -ENOMEM;

        for (size_t i = 0; i < config->n_routes; i++)
                routes[i] = &config->routes[i];
        qsort(routes, config->n_routes, sizeof(*routes), verify_compare_routes);

        for (size_t i = 0; i < config->n_routes; i += n_of_pool) {
                n_of_pool = 1;
                while (i + n_of_pool < config->n_routes &&
                       match_compare(&routes[i]->match, &routes[i + n_of_pool]->match) == 0)
                        n_of_pool++;
                verify_pool(routes + i, n_of_pool);
        }

        return 0;
}

/*
 * Checks the directories above the worker's socket. The socket itself may be missing: systemd may not have created it
 * yet.
 */
static void verify_path(int root_fd, const RouteConfig *route) {
        const char *key = load_worker_key(route);
        char text[256];
        SocketPath path;
        int r;

        r = socket_path_walk(root_fd, route->worker, /* owner= */ 0, &path);
        fd_close(path.fd);

        if (r == -ELOOP)
                load_warn(route, key, route->worker,
                          "A part of this path is a symbolic link, and the broker follows none; write the path without "
                          "it.");

        if (path.n_shared > 0) {
                (void) snprintf(text, sizeof(text),
                                "Others than root can write to %.*s, and decide which socket is there; use a directory "
                                "of root, such as /run/fdpass.",
                                (int) path.n_shared, route->worker);
                load_warn(route, key, route->worker, text);
        }
}

/* Checks nothing below another root, because the directories there may have any owner. */
static int verify_paths(const Config *config) {
        _cleanup_close_ int root_fd = streq(arg_root, "/") ? open("/", O_PATH | O_DIRECTORY | O_CLOEXEC) : -EBADF;

        for (size_t i = 0; root_fd >= 0 && i < config->n_routes; i++)
                if (!config->routes[i].redirects)
                        verify_path(root_fd, &config->routes[i]);

        return root_fd < 0 ? 0 : verify_access(root_fd, config);
}

/* Checks what the services of workers say. */
static int verify_services(const Config *config) {
        _cleanup_close_ int root_fd = open(arg_root, O_PATH | O_DIRECTORY | O_CLOEXEC);
        int r = root_fd < 0 ? -errno : verify_back(root_fd, config);

        return r < 0 ? r : verify_tls(root_fd, config);
}

int verify_config(const Config *config) {
        int r;

        r = verify_pools(config);
        if (r >= 0)
                r = verify_paths(config);
        if (r >= 0)
                r = verify_ports(config);
        if (r >= 0)
                r = verify_services(config);
        if (r < 0)
                fprintf(stderr, "Failed to check the routes: %s.\n", strerror(-r));
        return r;
}

int verb_verify(int argc, char *argv[]) {
        _cleanup_(config_freep) Config *config = load_units_and_lint();

        if (!config || verify_config(config) < 0)
                return EXIT_FAILURE;

        if (!arg_quiet)
                printf("%zu route%s, %u error%s, %u warning%s.\n", config->n_routes, config->n_routes == 1 ? "" : "s",
                       config->n_errors, config->n_errors == 1 ? "" : "s", load_n_warnings,
                       load_n_warnings == 1 ? "" : "s");

        return config->n_errors > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
