/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpassctl graph: listeners, routes and workers in the language of dot(1). */

#include <inttypes.h>
#include <stdio.h>

#include "basic/parse.h"
#include "fdpassctl/bus.h"
#include "fdpassctl/options.h"
#include "fdpassctl/running.h"
#include "fdpassctl/table.h"
#include "fdpassctl/text.h"
#include "fdpassctl/verbs.h"

typedef struct Graph {
        usec_t interval; /* time between the two snapshots that rates come from; 0: totals are shown */
        Snapshot before, now;
} Graph;

/* Prints a part of a label or a name, escaped for the terminal and then for dot. */
static void graph_print_quoted(const char *s) {
        _cleanup_free_ char *escaped = text_escape(s);

        for (const char *p = escaped ?: "?"; *p; p++) {
                if (*p == '"' || *p == '\\')
                        putchar('\\');
                putchar(*p);
        }
}

static void graph_print_node(const char *kind, const char *name) {
        printf("\"%s ", kind);
        graph_print_quoted(name);
        printf("\"");
}

/* Prints a rate ("12.3/s") or the total ("1234"). */
static void graph_print_rate(const Graph *g, uint64_t now, uint64_t before) {
        double seconds = (double) (g->now.at - g->before.at) / (double) USEC_PER_SEC;

        if (g->interval > 0 && seconds > 0)
                printf("%.1f/s", (double) (now >= before ? now - before : now) / seconds);
        else
                printf("%" PRIu64, now);
}

static void graph_print_listener(const Graph *g, const Value *l) {
        const char *name = value_string(l, "Name");

        printf("        ");
        graph_print_node("listener", name);
        printf(" [shape=cds margin=\"0.25,0.2\" label=\"");
        graph_print_quoted(name);
        printf("\\n");
        graph_print_quoted(value_string(l, "Address"));
        printf("\\n");
        graph_print_rate(g, value_number(l, "Accepted"),
                         value_number(value_find(&g->before.listeners, "Name", name), "Accepted"));
        printf("\"]\n");
}

static const char *graph_state_color(const char *state) {
        switch (state_color(state)) {
        case COLOR_GREEN:
                return "darkgreen";
        case COLOR_RED:
                return "red";
        default:
                return "orange";
        }
}

static void graph_print_worker(const Value *w) {
        const char *state = value_string(w, "State"), *name = value_string(w, "Worker");

        printf("        ");
        graph_print_node("worker", name);
        printf(" [shape=box3d label=\"");
        graph_print_quoted(name);
        printf("\\n");
        graph_print_quoted(state);
        printf(", %" PRIu64 " pending", value_number(w, "Pending"));
        if (value_get(w, "Connections")->kind != VALUE_NULL)
                printf(", %" PRIu64 " connections", value_number(w, "Connections"));
        printf("\" color=%s]\n", graph_state_color(state));
}

/* Returns whether the route takes clients of this listener: it names the listener, or it names none. */
static bool graph_is_from(const Value *route, const char *listener) {
        const Value *names = value_get(route, "Listeners");

        for (size_t i = 0; i < names->n_items; i++)
                if (streq(value_item_string(names, i), listener))
                        return true;

        return names->n_items == 0;
}

/* Prints the edge from the listener to the route, if there is one. */
static void graph_print_arrival(const Value *route, const char *listener) {
        if (!graph_is_from(route, listener))
                return;

        printf("        ");
        graph_print_node("listener", listener);
        printf(" -> ");
        graph_print_node("route", value_string(route, "Unit"));
        printf("\n");
}

static void graph_print_route(const Graph *g, const Value *route) {
        const char *unit = value_string(route, "Unit"), *match = value_string(route, "Match");
        uint64_t queued = value_number(route, "Queued");

        printf("        ");
        graph_print_node("route", unit);
        printf(" [shape=box style=rounded label=\"");
        graph_print_quoted(unit);
        printf("\\n");
        graph_print_quoted(*match ? match : "any client");
        if (*value_string(route, "RedirectTo")) {
                printf("\\n→ ");
                graph_print_quoted(value_string(route, "RedirectTo"));
        }
        if (queued > 0)
                printf("\\n%" PRIu64 " queued\" color=\"red", queued);
        printf("\"]\n");

        for (size_t i = 0; i < g->now.listeners.n_items; i++)
                graph_print_arrival(route, value_string(&g->now.listeners.items[i], "Name"));

        if (!*value_string(route, "Worker"))
                return; /* Flusher=redirect */

        printf("        ");
        graph_print_node("route", unit);
        printf(" -> ");
        graph_print_node("worker", value_string(route, "Worker"));
        printf(" [label=\"");
        graph_print_rate(g, value_number(route, "Taken"),
                         value_number(value_find(&g->before.routes, "Unit", unit), "Taken"));
        printf("\"%s]\n", value_number(route, "Backup") ? " style=dashed" : "");
}

static void graph_print(const Graph *g) {
        printf("digraph fdpass {\n"
               "        rankdir=LR\n"
               "        node [fontname=\"sans-serif\" fontsize=11]\n"
               "        edge [fontname=\"sans-serif\" fontsize=10]\n");
        for (size_t i = 0; i < g->now.listeners.n_items; i++)
                graph_print_listener(g, &g->now.listeners.items[i]);
        for (size_t i = 0; i < g->now.workers.n_items; i++)
                graph_print_worker(&g->now.workers.items[i]);
        for (size_t i = 0; i < g->now.routes.n_items; i++)
                graph_print_route(g, &g->now.routes.items[i]);
        printf("}\n");
}

static const char graph_help[] =
        "fdpassctl graph [OPTIONS...]\n\n"
        "Print listeners, routes and workers, with rates: fdpassctl graph | dot -Tsvg >graph.svg\n\n"
        "     --interval=TIME  Measure rates over this time (1s); 0: print totals at once\n"
        "  -h --help           Show this help\n";

static int graph_set_interval(void *userdata, const char *value) {
        Graph *g = userdata;

        if (parse_timespan(value, &g->interval) < 0 || g->interval > 3600 * USEC_PER_SEC) {
                fprintf(stderr, "--interval=%s: must be a time span of at most an hour.\n", value);
                return -EINVAL;
        }
        return 1;
}

static void graph_wait(usec_t span) {
        struct timespec ts = { (time_t) (span / USEC_PER_SEC), (long) (span % USEC_PER_SEC * 1000) };

        (void) nanosleep(&ts, NULL);
}

static int graph_run(sd_bus *bus, Graph *g) {
        if (g->interval > 0) {
                if (snapshot_take(bus, &g->before) < 0)
                        return EXIT_FAILURE;
                graph_wait(g->interval);
        }

        if (snapshot_take(bus, &g->now) < 0)
                return EXIT_FAILURE;

        graph_print(g);
        return EXIT_SUCCESS;
}

int verb_graph(int argc, char *argv[]) {
        static const VerbOption options[] = { { "interval", .take = graph_set_interval }, {} };
        _cleanup_bus_ sd_bus *bus = NULL;
        Graph g = { .interval = 1 * USEC_PER_SEC };
        int i, status;

        i = parse_options(argc, argv, graph_help, options, &g);
        if (i <= 0)
                return i;

        status = running_open(&bus);
        if (status != 0)
                return status;

        status = graph_run(bus, &g);
        snapshot_done(&g.before);
        snapshot_done(&g.now);
        return status;
}
