/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpassctl top: rates, queues and waiting times, once a second. */

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "basic/parse.h"
#include "fdpassctl/options.h"
#include "fdpassctl/running.h"
#include "fdpassctl/problems.h"
#include "fdpassctl/table.h"
#include "fdpassctl/text.h"
#include "fdpassctl/top-routes.h"
#include "fdpassctl/top-terminal.h"
#include "fdpassctl/verbs.h"

#define TOP_HISTORY 60 /* rates that the curve shows */
#define TOP_PROBLEMS_MAX 4

typedef struct Top {
        usec_t interval;
        unsigned n_left;      /* screens that are still to be shown; UINT_MAX: any number */
        bool is_batch;        /* screens are printed one below the other, for a file or a pipe */
        Snapshot before, now;
        double history[TOP_HISTORY]; /* taken clients per second, oldest first */
        size_t n_history;
} Top;

static double top_total_rate(const Top *t, const char *counter) {
        return top_rate(&t->before, &t->now, value_number(value_get(&t->now.properties, "Counters"), counter),
                        value_number(value_get(&t->before.properties, "Counters"), counter));
}

static void top_print_curve(const Top *t, size_t width) {
        static const char *const blocks[] = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
        size_t n = MIN(t->n_history, width), first = t->n_history - n;
        double max = 1;

        for (size_t i = first; i < t->n_history; i++)
                max = MAX(max, t->history[i]);

        printf("%s", terminal_color(COLOR_GREEN));
        for (size_t i = first; i < t->n_history; i++)
                fputs(blocks[MIN((size_t) (t->history[i] / max * 7.99), ELEMENTSOF(blocks) - 1)], stdout);
        printf("%s", terminal_color(COLOR_NONE));
}

static void top_add_history(Top *t, double rate) {
        if (t->n_history == TOP_HISTORY) {
                memmove(t->history, t->history + 1, sizeof(t->history) - sizeof(*t->history));
                t->n_history--;
        }
        t->history[t->n_history++] = rate;
}

/* Returns the number of lines. */
static size_t top_print_problems(const Top *t, size_t columns) {
        _cleanup_strlist_ StringList problems = {};
        size_t n;

        (void) problems_find(&t->now, NULL, NULL, NULL, &problems);
        n = MIN(problems.n_items, (size_t) TOP_PROBLEMS_MAX);
        for (size_t i = 0; i < n; i++) {
                printf("%s✗%s ", terminal_color(COLOR_RED), terminal_color(COLOR_NONE));
                text_print_cut(stdout, problems.items[i], columns > 4 ? columns - 2 : 0);
                printf("\n");
        }

        return n;
}

static void top_print_screen(const Top *t, size_t columns, size_t rows) {
        const Value *clients = value_get(&t->now.properties, "Clients");
        const Value *connections = value_get(&t->now.properties, "Connections");
        const char *state = value_string(&t->now.properties, "State");
        usec_t now = usec_now_realtime(), since = value_number(&t->now.properties, "StartedUSec");
        size_t n_lines = 5; /* besides problems and routes */
        char span[32];

        printf("fdpass %s  %s%s%s  up %s  %zu routes\n", value_string(&t->now.properties, "Version"),
               terminal_color(state_color(state)), state, terminal_color(COLOR_NONE),
               text_from_span(span, now > since ? now - since : 0), t->now.routes.n_items);
        printf("Clients: %" PRIu64 " in head, %" PRIu64 " queued, %" PRIu64 " pending, %" PRIu64 " parked",
               value_number(clients, "head"), value_number(clients, "queued"), value_number(clients, "pending"),
               value_number(clients, "parked"));
        if (connections->n_items > 0)
                printf("; %" PRIu64 " connections", value_number(connections, "Live"));
        printf("\n");
        printf("Accepted %.0f/s  taken %.0f/s  refused %.0f/s  ", top_total_rate(t, "Accepted"),
               top_total_rate(t, "Taken"), top_total_rate(t, "Refused"));
        top_print_curve(t, columns > 60 ? MIN(columns - 54, (size_t) TOP_HISTORY) : 0);
        printf("\n");
        n_lines += top_print_problems(t, columns);
        printf("\n");
        top_print_routes(&t->before, &t->now, columns, rows == 0 ? 0 : rows > n_lines + 1 ? rows - n_lines - 1 : 1);
}

static void top_draw(Top *t) {
        top_add_history(t, top_total_rate(t, "Taken"));

        if (t->is_batch) {
                top_print_screen(t, line_width(), 0);
                printf("\n");
        } else {
                top_terminal_clear();
                top_print_screen(t, terminal_columns(), terminal_rows());
        }
        (void) fflush(stdout);
}

static int top_run(sd_bus *bus, Top *t) {
        while (t->n_left > 0) {
                snapshot_done(&t->before);
                t->before = t->now;
                t->now = (Snapshot){};

                if (snapshot_take(bus, &t->now) < 0) {
                        top_terminal_restore(); /* the message must not be on the alternate screen, which vanishes */
                        fprintf(stderr, "The broker has ended, or does not answer.\n");
                        return EXIT_FAILURE;
                }

                /* The first snapshot has no rates, so a batch leaves it out. */
                if (t->before.at > 0 || !t->is_batch)
                        top_draw(t);
                if (t->before.at > 0 && t->n_left != UINT_MAX)
                        t->n_left--;
                if (t->n_left > 0 && !top_terminal_wait(t->interval, t->is_batch))
                        break;
        }

        return EXIT_SUCCESS;
}

static const char top_help[] =
        "fdpassctl top [OPTIONS...]\n\n"
        "Show rates, queues and waiting times, live. q ends it; any other key updates the screen at once.\n\n"
        "  -d --delay=TIME     The time between two screens (1s)\n"
        "  -n --iterations=N   End after N screens\n"
        "  -b --batch          Print screens one below the other, for a file or a pipe\n"
        "  -h --help           Show this help\n";

static int top_set_delay(void *userdata, const char *value) {
        Top *t = userdata;

        if (parse_timespan(value, &t->interval) < 0 || t->interval < 100 * USEC_PER_MSEC ||
            t->interval > 3600 * USEC_PER_SEC) {
                fprintf(stderr, "--delay=%s: must be from 100ms to 1h.\n", value);
                return -EINVAL;
        }
        return 1;
}

int verb_top(int argc, char *argv[]) {
        _cleanup_bus_ sd_bus *bus = NULL;
        Top t = { .interval = 1 * USEC_PER_SEC, .n_left = UINT_MAX };
        const VerbOption options[] = {
                { "delay", 'd', .take = top_set_delay },
                { "iterations", 'n', .number = &t.n_left },
                { "batch", 'b', .flag = &t.is_batch },
                {},
        };
        int i, status;

        i = parse_options(argc, argv, top_help, options, &t);
        if (i <= 0)
                return i;

        status = running_open(&bus);
        if (status != 0)
                return status;

        t.is_batch = t.is_batch || !isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO);
        if (!t.is_batch && top_terminal_take() < 0) {
                fprintf(stderr, "Failed to use the terminal. With --batch none is needed.\n");
                return EXIT_FAILURE;
        }

        status = top_run(bus, &t);
        top_terminal_restore();
        snapshot_done(&t.before);
        snapshot_done(&t.now);
        return status;
}
