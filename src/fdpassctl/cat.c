/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpassctl cat: what is in effect for a route or a public socket, and where it was said. */

#include <fcntl.h>
#include <stdio.h>

#include "basic/fd.h"
#include "basic/output.h"
#include "fdpassctl/fdpassctl.h"

#define SERVICE "fdpass.service"

/* Lines are printed as they could stand in a unit, with the place in a comment. */
static void print_line(void *userdata, const char *section, const char *key, const char *value, const char *path,
                       unsigned line) {
        const char **current = userdata;
        int n;

        if (!*current || !streq(*current, section)) {
                printf("[%s]\n", section);
                *current = section;
        }

        n = printf("%s=%s", key, value);
        printf("%*s# ", n < 48 ? 48 - n : 1, "");
        output_text(stdout, path ? path : "default");
        if (path)
                printf(":%u", line);
        printf("\n");
}

/* Returns 0, CONFIG_NO_UNIT, or a negative errno, which it has said. */
static int cat_unit(int root_fd, const char *unit, bool is_listener) {
        const char *section = NULL;
        int r;

        printf("# %s\n", unit);
        r = config_describe(root_fd, unit, is_listener, print_line, &section);
        printf("\n");

        if (r < 0)
                fprintf(stderr, "Failed to read %s: %s.\n", unit, strerror(-r));
        return r;
}

static bool is_route(const Config *config, const char *name) {
        for (size_t i = 0; i < config->n_routes; i++)
                if (streq(config->routes[i].unit, name))
                        return true;

        return false;
}

static bool is_listener(const Config *config, const char *name) {
        for (size_t i = 0; i < config->n_listeners; i++)
                if (streq(config->listeners[i].unit, name))
                        return true;

        return false;
}

static int cat_all(int root_fd, const Config *config) {
        int r;

        r = cat_unit(root_fd, SERVICE, false);

        for (size_t i = 0; r >= 0 && i < config->n_listeners; i++)
                r = cat_unit(root_fd, config->listeners[i].unit, true);

        for (size_t i = 0; r >= 0 && i < config->n_routes; i++)
                r = cat_unit(root_fd, config->routes[i].unit, false);

        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int verb_cat(int argc, char *argv[]) {
        _cleanup_(config_freep) Config *config = NULL;
        _cleanup_close_ int root_fd = -EBADF;
        int i = parse_common(argc, argv), status = EXIT_SUCCESS;

        if (i <= 0)
                return i < 0 ? EXIT_FAILURE : EXIT_SUCCESS;

        config = units_load();
        if (!config)
                return EXIT_FAILURE;

        root_fd = open(arg_root, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (root_fd < 0) {
                fprintf(stderr, "Failed to open %s: %s.\n", arg_root, strerror(errno));
                return EXIT_FAILURE;
        }

        if (i == argc)
                return cat_all(root_fd, config);

        for (; i < argc; i++)
                if (!is_route(config, argv[i]) && !is_listener(config, argv[i]) && !streq(argv[i], SERVICE)) {
                        fprintf(stderr, "%s is no route and no public socket: not enabled, or wrong (see fdpassctl verify), or no unit.\n", argv[i]);
                        status = EXIT_FAILURE;
                } else if (cat_unit(root_fd, argv[i], is_listener(config, argv[i])) < 0)
                        status = EXIT_FAILURE;

        return status;
}
