/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpassctl cat: the settings of a route or a public socket, and the file and line of each. */

#include <fcntl.h>
#include <stdio.h>

#include "basic/fd.h"
#include "basic/output.h"
#include "fdpassctl/load-units.h"
#include "fdpassctl/options.h"
#include "fdpassctl/verbs.h"

#define CAT_SERVICE "fdpass.service"
#define CAT_PLACE_COLUMN 48 /* column of the comment that names the file */

/*
 * Prints the setting as it could stand in a unit, with its place in a comment. @userdata is the section of the line
 * before.
 */
static void cat_print_line(void *userdata, const char *section, const char *key, const char *value, const char *path,
                           unsigned line) {
        const char **current = userdata;
        int n;

        if (!*current || !streq(*current, section)) {
                printf("[%s]\n", section);
                *current = section;
        }

        n = printf("%s=%s", key, value);
        printf("%*s# ", n < CAT_PLACE_COLUMN ? CAT_PLACE_COLUMN - n : 1, "");
        output_text(stdout, path ? path : "default");
        if (path)
                printf(":%u", line);
        printf("\n");
}

/* Returns 0, also if there is no such unit, or a negative errno after a message. */
static int cat_print_unit(int root_fd, const char *unit, bool is_listener) {
        const char *section = NULL;
        int r;

        printf("# %s\n", unit);
        r = config_describe(root_fd, unit, is_listener, cat_print_line, &section);
        printf("\n");

        if (r < 0)
                fprintf(stderr, "Failed to read %s: %s.\n", unit, strerror(-r));
        return r < 0 ? r : 0;
}

static int cat_print_all(int root_fd, const Config *config) {
        int r;

        r = cat_print_unit(root_fd, CAT_SERVICE, false);

        for (size_t i = 0; r >= 0 && i < config->n_listeners; i++)
                r = cat_print_unit(root_fd, config->listeners[i].unit, true);

        for (size_t i = 0; r >= 0 && i < config->n_routes; i++)
                r = cat_print_unit(root_fd, config->routes[i].unit, false);

        return r;
}

static int cat_print_one(int root_fd, const Config *config, const char *unit) {
        bool is_listener = load_find_listener(config, unit) != NULL;

        if (!is_listener && !load_find_route(config, unit) && !streq(unit, CAT_SERVICE)) {
                fprintf(stderr, "%s is no route and no public socket that is enabled. See fdpassctl verify.\n", unit);
                return EXIT_FAILURE;
        }

        return cat_print_unit(root_fd, unit, is_listener);
}

int verb_cat(int argc, char *argv[]) {
        _cleanup_(config_freep) Config *config = NULL;
        _cleanup_close_ int root_fd = -EBADF;
        int i = parse_common(argc, argv), status = EXIT_SUCCESS;

        if (i <= 0)
                return i;

        config = load_units();
        if (!config)
                return EXIT_FAILURE;

        root_fd = open(arg_root, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (root_fd < 0) {
                fprintf(stderr, "Failed to open %s: %s.\n", arg_root, strerror(errno));
                return EXIT_FAILURE;
        }

        if (i == argc)
                return cat_print_all(root_fd, config);

        for (; i < argc; i++)
                if (cat_print_one(root_fd, config, argv[i]) != EXIT_SUCCESS)
                        status = EXIT_FAILURE;

        return status;
}
