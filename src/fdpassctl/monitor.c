/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpassctl monitor: one line for each event of the broker. */

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <time.h>

#include "fdpassctl/bus.h"
#include "fdpassctl/options.h"
#include "fdpassctl/running.h"
#include "fdpassctl/terminal.h"
#include "fdpassctl/text.h"
#include "fdpassctl/verbs.h"

typedef struct Monitor {
        unsigned n_left; /* events that are still to be shown; UINT_MAX: any number */
} Monitor;

static void monitor_print_clock(void) {
        char text[16] = "";
        time_t t = time(NULL);
        struct tm tm;

        if (localtime_r(&t, &tm))
                (void) strftime(text, sizeof(text), "%H:%M:%S", &tm);
        printf("%s%s%s ", terminal_color(COLOR_GREY), text, terminal_color(COLOR_NONE));
}

static Color monitor_kind_color(const char *kind) {
        return streq(kind, "taken") || streq(kind, "worker-back") ? COLOR_GREEN
             : streq(kind, "refused") || streq(kind, "worker-gone") ? COLOR_RED
                                                                    : COLOR_YELLOW;
}

/* Returns the event's details as one escaped line, for the caller to free, or NULL. */
static char *monitor_describe(const Value *details) {
        static const struct {
                const char *entry, *before;
        } parts[] = {
                { "Client", "" }, { "Listener", " on " }, { "Route", " → " }, { "Reason", ": " }, { "Worker", " " },
        };
        char *text = NULL, span[32];
        size_t size;
        FILE *f;

        f = open_memstream(&text, &size);
        if (!f)
                return NULL;

        for (size_t i = 0; i < ELEMENTSOF(parts); i++) {
                const char *s = value_string(details, parts[i].entry);

                if (*s) {
                        fputs(parts[i].before, f);
                        text_print(f, s);
                }
                if (i == 1 && value_get(details, "AgeUSec")->kind == VALUE_UNSIGNED)
                        fprintf(f, ", %s", text_from_span(span, value_number(details, "AgeUSec")));
                if (i == 1 && value_number(details, "Rerouted") > 0)
                        fputs(", rerouted", f);
        }

        return fclose(f) == 0 ? text : NULL;
}

static void monitor_print_event(const char *kind, const Value *details) {
        size_t columns = line_width(), used = sizeof("23:59:59 worker-gone ") - 1;
        _cleanup_free_ char *text = monitor_describe(details);

        monitor_print_clock();
        printf("%s%-11s%s ", terminal_color(monitor_kind_color(kind)), kind, terminal_color(COLOR_NONE));
        text_print_cut(stdout, text ?: "?", columns > used ? columns - used : 0);
        printf("\n");
}

static int monitor_on_event(Monitor *monitor, sd_bus_message *m) {
        _cleanup_value_ Value details = {};
        const char *kind;
        int r;

        r = sd_bus_message_read(m, "s", &kind);
        if (r >= 0)
                r = value_read(m, &details);
        if (r < 0)
                return r;

        if (arg_json != JSON_OFF) {
                printf("{\"Event\":");
                json_print_string(stdout, kind);
                printf(",\"Details\":");
                json_print(stdout, &details, JSON_SHORT);
                printf("}\n");
        } else
                monitor_print_event(kind, &details);

        if (monitor->n_left != UINT_MAX)
                monitor->n_left--;
        return 0;
}

static int monitor_on_lost(sd_bus_message *m) {
        uint64_t n;
        int r;

        r = sd_bus_message_read(m, "t", &n);
        if (r < 0)
                return r;

        if (arg_json != JSON_OFF)
                printf("{\"Lost\":%" PRIu64 "}\n", n);
        else {
                monitor_print_clock();
                printf("%s… %" PRIu64 " more events were left out …%s\n", terminal_color(COLOR_YELLOW), n,
                       terminal_color(COLOR_NONE));
        }
        return 0;
}

static int monitor_on_signal(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        int r = 0;

        if (sd_bus_message_is_signal(m, BUS_INTERFACE, "Event") > 0)
                r = monitor_on_event(userdata, m);
        else if (sd_bus_message_is_signal(m, BUS_INTERFACE, "Lost") > 0)
                r = monitor_on_lost(m);

        (void) fflush(stdout);
        return r < 0 ? r : 0;
}

static int monitor_follow(sd_bus *bus, Monitor *monitor) {
        while (monitor->n_left > 0) {
                int r = sd_bus_process(bus, NULL);

                if (r == 0)
                        r = sd_bus_wait(bus, UINT64_MAX);
                if (r == -EINTR)
                        continue;
                if (r < 0 || ferror(stdout)) {
                        fprintf(stderr, "The broker has closed the connection.\n");
                        return EXIT_FAILURE;
                }
        }

        return EXIT_SUCCESS;
}

static const char monitor_help[] =
        "fdpassctl monitor [OPTIONS...]\n\n"
        "Show each handoff as it happens, up to 1000 a second.\n\n"
        "  -n --count=N        End after N events\n"
        "  -h --help           Show this help\n";

int verb_monitor(int argc, char *argv[]) {
        _cleanup_bus_ sd_bus *bus = NULL;
        Monitor monitor = { .n_left = UINT_MAX };
        const VerbOption options[] = { { "count", 'n', .number = &monitor.n_left }, {} };
        int i;

        i = parse_options(argc, argv, monitor_help, options, NULL);
        if (i <= 0)
                return i;

        i = running_open(&bus);
        if (i != 0)
                return i;
        if (sd_bus_add_filter(bus, NULL, monitor_on_signal, &monitor) < 0 ||
            bus_call(bus, "Subscribe", NULL, "") < 0)
                return EXIT_FAILURE;

        return monitor_follow(bus, &monitor);
}
