/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpassctl drain, undrain, reload and log-level: the verbs that change the broker. */

#include <inttypes.h>
#include <stdio.h>

#include "fdpassctl/bus.h"
#include "fdpassctl/options.h"
#include "fdpassctl/running.h"
#include "fdpassctl/text.h"
#include "fdpassctl/verbs.h"

/* Returns whether there is such a worker; otherwise it prints an error. */
static bool actions_check_worker(const Value *routes, const char *name) {
        const char *meant = NULL;
        size_t n = strlen(name);

        for (size_t i = 0; i < routes->n_items; i++) {
                const char *unit = value_string(&routes->items[i], "Unit");

                if (streq(unit, name) || streq(value_string(&routes->items[i], "Worker"), name))
                        return true;
                if (strncmp(unit, name, n) == 0 && unit[n] == '.')
                        meant = unit;
        }

        text_print(stderr, name);
        fprintf(stderr, ": no route leads to such a worker, or has that name");
        if (meant) {
                fprintf(stderr, "; did you mean ");
                text_print(stderr, meant);
        }
        fprintf(stderr, meant ? "?\n" : ".\n");
        return false;
}

/* Checks all workers before the first one is changed, so that a wrong name changes nothing. */
static int actions_check_workers(sd_bus *bus, int n, char *names[]) {
        _cleanup_value_ Value routes = {};
        bool are_right = true;
        int r;

        r = bus_list(bus, "ListRoutes", &routes);
        if (r < 0)
                return r;

        for (int i = 0; i < n; i++)
                are_right = actions_check_worker(&routes, names[i]) && are_right;

        return are_right ? 0 : -ENOENT;
}

static int actions_call_for_each(int argc, char *argv[], const char *method) {
        _cleanup_bus_ sd_bus *bus = NULL;
        int i = parse_common(argc, argv), status = EXIT_SUCCESS;

        if (i <= 0)
                return i;
        if (i == argc) {
                fprintf(stderr, "%s needs a worker: the path of its socket, or a unit that leads to it.\n", argv[0]);
                return EXIT_FAILURE;
        }

        if (bus_open(&bus) < 0 || actions_check_workers(bus, argc - i, argv + i) < 0)
                return EXIT_FAILURE;

        for (; i < argc; i++)
                if (bus_call(bus, method, NULL, "s", argv[i]) < 0)
                        status = EXIT_FAILURE;

        return status;
}

int verb_drain(int argc, char *argv[]) {
        return actions_call_for_each(argc, argv, "Drain");
}

int verb_undrain(int argc, char *argv[]) {
        return actions_call_for_each(argc, argv, "Undrain");
}

int verb_reload(int argc, char *argv[]) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_bus_ sd_bus *bus = NULL;
        const char *findings;
        uint64_t n;
        int r;

        if (bus_open(&bus) < 0 || bus_call(bus, "Reload", &m, "") < 0)
                return EXIT_FAILURE;

        r = sd_bus_message_read(m, "ts", &n, &findings);
        if (r < 0)
                return EXIT_FAILURE;

        text_print_lines(stderr, findings);
        if (!arg_quiet)
                printf("Reloaded: %" PRIu64 " route%s.\n", n, n == 1 ? "" : "s");
        return EXIT_SUCCESS;
}

static int actions_show_level(sd_bus *bus) {
        _cleanup_value_ Value properties = {};

        if (bus_properties(bus, &properties) < 0)
                return EXIT_FAILURE;

        printf("%s\n", value_string(&properties, "LogLevel"));
        return EXIT_SUCCESS;
}

int verb_log_level(int argc, char *argv[]) {
        _cleanup_bus_ sd_bus *bus = NULL;
        int i = parse_common(argc, argv);

        if (i <= 0)
                return i;
        if (i + 1 < argc) {
                fprintf(stderr, "log-level takes one level at most.\n");
                return EXIT_FAILURE;
        }

        if (i == argc) {
                int status = running_open(&bus);

                return status != 0 ? status : actions_show_level(bus);
        }

        return bus_open(&bus) < 0 ? EXIT_FAILURE : bus_call(bus, "SetLogLevel", NULL, "s", argv[i]);
}
