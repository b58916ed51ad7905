/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpassctl drain, undrain, reload and log-level: the verbs that change the broker. */

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "fdpassctl/bus.h"
#include "fdpassctl/drain-host.h"
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

/* Returns whether --host and the other arguments fit. Otherwise it prints an error. */
static bool actions_check_host(const char *verb, int n, bool waits, bool is_host, const char *reason) {
        if (is_host && (n > 0 || waits))
                fprintf(stderr, "%s --host takes no workers%s.\n", verb, waits ? ", and no --wait; see fdpassctl wait" : "");
        else if (!is_host && reason)
                fprintf(stderr, "--reason= is for --host.\n");
        else
                return true;

        return false;
}

static int actions_check_arguments(const char *verb, int n) {
        if (n > 0)
                return 0;

        fprintf(stderr, "%s needs a worker: the path of its socket, or a unit that leads to it.\n", verb);
        return -EINVAL;
}

/* Calls a method for each of the @n workers. */
static int actions_call_for_each(sd_bus *bus, int n, char *names[], const char *method) {
        int status = EXIT_SUCCESS;

        if (actions_check_workers(bus, n, names) < 0)
                return EXIT_FAILURE;

        for (int i = 0; i < n; i++)
                if (bus_call(bus, method, NULL, "s", names[i]) < 0)
                        status = EXIT_FAILURE;

        return status;
}

/* A worker can be waited for only if the broker knows when its clients have ended. */
static int actions_check_tracking(sd_bus *bus) {
        _cleanup_value_ Value properties = {};
        int r = bus_properties(bus, &properties);

        if (r < 0 || value_get(&properties, "Connections")->n_items > 0)
                return r;

        fprintf(stderr, "drain --wait needs to know when connections end, and the broker does not track them. Nothing was "
                        "drained. First: systemctl enable fdpass-connections.socket && systemctl restart "
                        "fdpass.service\n");
        return -EOPNOTSUPP;
}

/* Returns 1 if the worker has no client left, 0 if it has some, or a negative errno after a message. */
static int actions_is_empty(sd_bus *bus, const char *name) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_value_ Value worker = {};
        int r;

        r = bus_call(bus, "GetWorker", &m, "s", name);
        if (r < 0)
                return r;

        r = value_read(m, &worker);
        if (r < 0)
                return r;

        if (!value_number(&worker, "Drained")) {
                text_print(stderr, name);
                fprintf(stderr, " gets clients again, so it is not waited for.\n");
                return -ECANCELED;
        }

        return value_number(&worker, "Connections") + value_number(&worker, "Pending") == 0;
}

/* Waits until the worker has no client left. */
static int actions_wait_for(sd_bus *bus, const char *name) {
        const struct timespec pause = { .tv_nsec = 200 * 1000 * 1000 };
        int r;

        while ((r = actions_is_empty(bus, name)) == 0)
                (void) nanosleep(&pause, NULL);

        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static const char drain_help[] =
        "fdpassctl drain [OPTIONS...] WORKER...\n\n"
        "Send no more clients to these workers. A worker is the path of its socket, or a unit that leads to it.\n\n"
        "     --wait           Return when the last client of these workers has left\n"
        "     --host           Without a worker: tell load balancers to send clients to other hosts\n"
        "     --reason=TEXT    With --host: why, in one line\n"
        "  -h --help           Show this help\n";

int verb_drain(int argc, char *argv[]) {
        _cleanup_bus_ sd_bus *bus = NULL;
        bool waits = false, is_host = false;
        const char *reason = NULL;
        const VerbOption options[] = {
                { "wait", .flag = &waits },
                { "host", .flag = &is_host },
                { "reason", .text = &reason },
                {},
        };
        int i = parse_options(argc, argv, drain_help, options, NULL), status;

        if (i <= 0)
                return i;
        if (!actions_check_host(argv[0], argc - i, waits, is_host, reason))
                return EXIT_FAILURE;
        if (is_host)
                return drain_host_set(reason ?: "");
        if (actions_check_arguments(argv[0], argc - i) < 0 || bus_open(&bus) < 0 ||
            (waits && actions_check_tracking(bus) < 0))
                return EXIT_FAILURE;

        status = actions_call_for_each(bus, argc - i, argv + i, "Drain");
        for (; waits && status == EXIT_SUCCESS && i < argc; i++)
                status = actions_wait_for(bus, argv[i]);

        return status;
}

static const char undrain_help[] =
        "fdpassctl undrain [OPTIONS...] WORKER...\n\n"
        "Send clients to these workers again.\n\n"
        "     --host           Without a worker: tell load balancers to send clients to this host again\n"
        "  -h --help           Show this help\n";

int verb_undrain(int argc, char *argv[]) {
        _cleanup_bus_ sd_bus *bus = NULL;
        bool is_host = false;
        const VerbOption options[] = { { "host", .flag = &is_host }, {} };
        int i = parse_options(argc, argv, undrain_help, options, NULL);

        if (i <= 0)
                return i;
        if (!actions_check_host(argv[0], argc - i, false, is_host, NULL))
                return EXIT_FAILURE;
        if (is_host)
                return drain_host_set(NULL);
        if (actions_check_arguments(argv[0], argc - i) < 0 || bus_open(&bus) < 0)
                return EXIT_FAILURE;

        return actions_call_for_each(bus, argc - i, argv + i, "Undrain");
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
