/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpassctl graph: the way of the clients, for dot(1). */

#include <stdio.h>
#include <unistd.h>

#include "basic/parse.h"
#include "fdpassctl/bus.h"
#include "fdpassctl/fdpassctl.h"
#include "fdpassctl/terminal.h"

typedef struct Graph {
        usec_t interval; /* between the two looks that rates are made of; 0: totals */
        Snapshot before, now;
} Graph;

/* A text in a label or a name: escaped for the terminal, then for dot. */
static void print_quoted(const char *s) {
        _cleanup_free_ char *escaped = text_escape(s);

        for (const char *p = escaped ?: "?"; *p; p++) {
                if (*p == '"' || *p == '\\')
                        putchar('\\');
                putchar(*p);
        }
}

static void print_node(const char *kind, const char *name) {
        printf("\"%s ", kind);
        print_quoted(name);
        printf("\"");
}

/* "12.3/s", or "1234" in all. */
static void print_rate(const Graph *g, uint64_t now, uint64_t before) {
        double seconds = (double) (g->now.at - g->before.at) / (double) USEC_PER_SEC;

        if (g->interval > 0 && seconds > 0)
                printf("%.1f/s", (double) (now >= before ? now - before : now) / seconds);
        else
                printf("%llu", (unsigned long long) now);
}

/* The same entry as it was before; an empty one where it is new. */
static const Value *find(const Value *list, const char *key, const char *name) {
        static const Value none = {};

        for (size_t i = 0; i < list->n_items; i++)
                if (streq(value_string(&list->items[i], key), name))
                        return &list->items[i];

        return &none;
}

static void print_listener(const Graph *g, const Value *l) {
        const char *name = value_string(l, "Name");

        printf("        ");
        print_node("listener", name);
        printf(" [shape=cds margin=\"0.25,0.2\" label=\"");
        print_quoted(name);
        printf("\\n");
        print_quoted(value_string(l, "Address"));
        printf("\\n");
        print_rate(g, value_number(l, "Accepted"), value_number(find(&g->before.listeners, "Name", name), "Accepted"));
        printf("\"]\n");
}

static void print_worker(const Value *w) {
        const char *state = value_string(w, "State"), *name = value_string(w, "Worker");

        printf("        ");
        print_node("worker", name);
        printf(" [shape=box3d label=\"");
        print_quoted(name);
        printf("\\n");
        print_quoted(state);
        printf(", %llu pending\" color=%s]\n", (unsigned long long) value_number(w, "Pending"),
               streq(state, "ready") ? "darkgreen" : streq(state, "gone") || streq(state, "hanging") || streq(state, "stuck") ? "red" : "orange");
}

/* A route is reached from the listeners that it names, or from all. */
static bool is_from(const Value *route, const char *listener) {
        const Value *names = value_get(route, "Listeners");

        for (size_t i = 0; i < names->n_items; i++)
                if (names->items[i].kind == VALUE_STRING && streq(names->items[i].s, listener))
                        return true;

        return names->n_items == 0;
}

static void print_route(const Graph *g, const Value *route) {
        const char *unit = value_string(route, "Unit"), *match = value_string(route, "Match");
        uint64_t queued = value_number(route, "Queued");

        printf("        ");
        print_node("route", unit);
        printf(" [shape=box style=rounded label=\"");
        print_quoted(unit);
        printf("\\n");
        print_quoted(*match ? match : "any client");
        if (queued > 0)
                printf("\\n%llu queued\" color=\"red", (unsigned long long) queued);
        printf("\"]\n");

        for (size_t i = 0; i < g->now.listeners.n_items; i++) {
                const char *listener = value_string(&g->now.listeners.items[i], "Name");

                if (is_from(route, listener)) {
                        printf("        ");
                        print_node("listener", listener);
                        printf(" -> ");
                        print_node("route", unit);
                        printf("\n");
                }
        }

        printf("        ");
        print_node("route", unit);
        printf(" -> ");
        print_node("worker", value_string(route, "Worker"));
        printf(" [label=\"");
        print_rate(g, value_number(route, "Taken"), value_number(find(&g->before.routes, "Unit", unit), "Taken"));
        printf("\"%s]\n", value_number(route, "Backup") ? " style=dashed" : "");
}

static void print_graph(const Graph *g) {
        printf("digraph fdpass {\n"
               "        rankdir=LR\n"
               "        node [fontname=\"sans-serif\" fontsize=11]\n"
               "        edge [fontname=\"sans-serif\" fontsize=10]\n");
        for (size_t i = 0; i < g->now.listeners.n_items; i++)
                print_listener(g, &g->now.listeners.items[i]);
        for (size_t i = 0; i < g->now.workers.n_items; i++)
                print_worker(&g->now.workers.items[i]);
        for (size_t i = 0; i < g->now.routes.n_items; i++)
                print_route(g, &g->now.routes.items[i]);
        printf("}\n");
}

static int help_graph(void) {
        printf("fdpassctl graph [OPTIONS...]\n\n"
               "Print listeners, routes and workers, with rates: fdpassctl graph | dot -Tsvg >graph.svg\n\n"
               "     --interval=TIME  Measure rates for so long (1s); 0: print totals at once\n"
               "  -h --help           Show this help\n");
        return 0;
}

static int take_option(void *userdata, int option, const char *value) {
        Graph *g = userdata;

        if (option == 'h')
                return help_graph();
        if (option != 'i')
                return -ENOTSUP;

        if (parse_timespan(value, &g->interval) < 0 || g->interval > 3600 * USEC_PER_SEC) {
                fprintf(stderr, "--interval=%s: this is no span of time, or more than an hour.\n", value);
                return -EINVAL;
        }
        return 1;
}

static void wait_for(usec_t span) {
        struct timespec ts = { (time_t) (span / USEC_PER_SEC), (long) (span % USEC_PER_SEC * 1000) };

        (void) nanosleep(&ts, NULL);
}

static int take_both(sd_bus *bus, Graph *g) {
        if (g->interval > 0) {
                if (snapshot_take(bus, &g->before) < 0)
                        return EXIT_FAILURE;
                wait_for(g->interval);
        }

        if (snapshot_take(bus, &g->now) < 0)
                return EXIT_FAILURE;

        print_graph(g);
        return EXIT_SUCCESS;
}

int verb_graph(int argc, char *argv[]) {
        static const struct option options[] = { { "interval", required_argument, NULL, 'i' }, {} };
        _cleanup_bus_ sd_bus *bus = NULL;
        Graph g = { .interval = 1 * USEC_PER_SEC };
        int i, status;

        i = parse_options(argc, argv, options, "", take_option, &g);
        if (i <= 0)
                return i < 0 ? EXIT_FAILURE : EXIT_SUCCESS;

        if (bus_open(&bus) < 0)
                return EXIT_FAILURE;

        status = take_both(bus, &g);
        snapshot_done(&g.before);
        snapshot_done(&g.now);
        return status;
}
