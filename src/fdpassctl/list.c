/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpassctl list-…: the broker's lists as tables. */

#include <stdio.h>

#include "fdpassctl/bus.h"
#include "fdpassctl/fdpassctl.h"
#include "fdpassctl/show.h"
#include "fdpassctl/table.h"

Color state_color(const char *state) {
        static const struct {
                const char *state;
                Color color;
        } colors[] = {
                { "ready", COLOR_GREEN },   { "accepting", COLOR_GREEN }, { "running", COLOR_GREEN },
                { "gone", COLOR_RED },      { "stuck", COLOR_RED },       { "paused", COLOR_RED },
                { "hanging", COLOR_RED },
                { "drained", COLOR_YELLOW }, { "resting", COLOR_YELLOW }, { "stopping", COLOR_YELLOW },
        };

        for (size_t i = 0; i < ELEMENTSOF(colors); i++)
                if (streq(colors[i].state, state))
                        return colors[i].color;

        return COLOR_NONE;
}

static void state_cell(Table *t, const Value *row) {
        const char *state = value_string(row, "State");

        table_text(t, state, state_color(state));
}

static void number_cell(Table *t, const Value *row, const char *name) {
        table_number(t, value_number(row, name), COLOR_NONE);
}

static void sum_cell(Table *t, const Value *row, const char *name) {
        uint64_t n = value_sum(value_get(row, name));

        table_number(t, n, n > 0 ? COLOR_YELLOW : COLOR_NONE);
}

/* "a b c", of a list of strings. */
static void strings_cell(Table *t, const Value *row, const char *name) {
        const Value *list = value_get(row, name);
        _cleanup_free_ char *text = NULL;
        size_t size = 1;

        for (size_t i = 0; i < list->n_items; i++)
                size += list->items[i].kind == VALUE_STRING ? strlen(list->items[i].s) + 1 : 0;

        text = calloc(1, size);
        for (size_t i = 0, n = 0; text && i < list->n_items; i++)
                if (list->items[i].kind == VALUE_STRING)
                        n += (size_t) snprintf(text + n, size - n, "%s%s", n > 0 ? " " : "", list->items[i].s);

        table_text(t, text ?: "", COLOR_NONE);
}

/* What is one of them called, how is it asked for, what does it look like? */
typedef struct Listing {
        const char *noun;
        const char *method;
        const Column *columns;
        size_t n_columns;
        void (*add)(Table *t, const Value *row);
} Listing;

static void show_table(const Listing *l, const Value *list) {
        _cleanup_(table_freep) Table *t = table_new(l->columns, l->n_columns);

        for (size_t i = 0; t && i < list->n_items; i++)
                l->add(t, &list->items[i]);

        pager_open();
        table_print(t, stdout, line_width(), 0, !arg_no_legend && list->n_items > 0);
        if (!arg_no_legend)
                printf("%s%zu %s%s listed.\n", list->n_items > 0 ? "\n" : "", list->n_items, l->noun,
                       list->n_items == 1 ? "" : "s");
}

static int show_list(int argc, char *argv[], const Listing *l) {
        _cleanup_value_ Value list = {};
        _cleanup_bus_ sd_bus *bus = NULL;
        int r;

        r = parse_alone(argc, argv);
        if (r <= 0)
                return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;

        if (bus_open(&bus) < 0 || bus_list(bus, l->method, &list) < 0)
                return EXIT_FAILURE;

        if (arg_json != JSON_OFF) {
                value_print_json(stdout, &list, arg_json);
                putchar('\n');
        } else
                show_table(l, &list);

        return EXIT_SUCCESS;
}

static void add_listener(Table *t, const Value *row) {
        table_text(t, value_string(row, "Name"), COLOR_NONE);
        table_text(t, value_string(row, "Address"), COLOR_NONE);
        state_cell(t, row);
        number_cell(t, row, "Accepted");
        sum_cell(t, row, "Refusals");
        table_text(t, value_string(row, "Unit"), COLOR_NONE);
}

int verb_list_listeners(int argc, char *argv[]) {
        static const Column columns[] = {
                { "NAME", COLUMN_SHRINK },     { "ADDRESS", COLUMN_SHRINK }, { "STATE", COLUMN_LEFT },
                { "ACCEPTED", COLUMN_RIGHT },  { "REFUSED", COLUMN_RIGHT },  { "UNIT", COLUMN_SHRINK },
        };

        return show_list(argc, argv, &(Listing){ "listener", "ListListeners", columns, ELEMENTSOF(columns), add_listener });
}

static void add_route(Table *t, const Value *row) {
        const char *match = value_string(row, "Match");
        uint64_t queued = value_number(row, "Queued");

        table_text(t, value_string(row, "Unit"), COLOR_NONE);
        table_text(t, *match ? match : "any client", *match ? COLOR_NONE : COLOR_GREY);
        state_cell(t, row);
        table_number(t, queued, queued > 0 ? COLOR_YELLOW : COLOR_NONE);
        number_cell(t, row, "Pending");
        number_cell(t, row, "Taken");
        sum_cell(t, row, "Refusals");
}

int verb_list_routes(int argc, char *argv[]) {
        static const Column columns[] = {
                { "UNIT", COLUMN_SHRINK },  { "MATCH", COLUMN_SHRINK },     { "STATE", COLUMN_LEFT },
                { "QUEUED", COLUMN_RIGHT }, { "PENDING", COLUMN_RIGHT }, { "TAKEN", COLUMN_RIGHT },
                { "REFUSED", COLUMN_RIGHT },
        };

        return show_list(argc, argv, &(Listing){ "route", "ListRoutes", columns, ELEMENTSOF(columns), add_route });
}

static void add_worker(Table *t, const Value *row) {
        const char *state = value_string(row, "State"), *error = streq(state, "gone") ? value_string(row, "GoneError") : "";
        char text[96];

        table_text(t, value_string(row, "Worker"), COLOR_NONE);
        (void) snprintf(text, sizeof(text), "%s%s%s", state, *error ? ": " : "", error);
        table_text(t, text, state_color(state));
        number_cell(t, row, "Pending");
        number_cell(t, row, "Taken");
        number_cell(t, row, "Unread");
        strings_cell(t, row, "Units");
}

int verb_list_workers(int argc, char *argv[]) {
        static const Column columns[] = {
                { "WORKER", COLUMN_SHRINK | COLUMN_CUT_LEFT }, { "STATE", COLUMN_LEFT }, { "PENDING", COLUMN_RIGHT },
                { "TAKEN", COLUMN_RIGHT }, { "UNREAD", COLUMN_RIGHT }, { "UNITS", COLUMN_SHRINK },
        };

        return show_list(argc, argv, &(Listing){ "worker", "ListWorkers", columns, ELEMENTSOF(columns), add_worker });
}

static void add_client(Table *t, const Value *row) {
        char span[32];

        table_text(t, value_string(row, "Client"), COLOR_NONE);
        table_text(t, value_string(row, "Listener"), COLOR_NONE);
        state_cell(t, row);
        table_text(t, format_span(span, value_number(row, "AgeUSec")), COLOR_NONE);
        table_text(t, value_string(row, "Route"), COLOR_NONE);
        table_text(t, *value_string(row, "Worker") ? value_string(row, "Worker") : value_string(row, "Reason"), COLOR_NONE);
}

int verb_list_clients(int argc, char *argv[]) {
        static const Column columns[] = {
                { "CLIENT", COLUMN_SHRINK }, { "LISTENER", COLUMN_SHRINK }, { "STATE", COLUMN_LEFT },
                { "AGE", COLUMN_RIGHT },     { "ROUTE", COLUMN_SHRINK },    { "WORKER", COLUMN_SHRINK | COLUMN_CUT_LEFT },
        };

        return show_list(argc, argv, &(Listing){ "client", "ListClients", columns, ELEMENTSOF(columns), add_client });
}
