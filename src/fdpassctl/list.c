/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpassctl list-listeners, list-routes, list-workers and list-clients: the broker's lists as tables. */

#include <inttypes.h>
#include <stdio.h>

#include "fdpassctl/bus.h"
#include "fdpassctl/options.h"
#include "fdpassctl/pager.h"
#include "fdpassctl/running.h"
#include "fdpassctl/socket-open.h"
#include "fdpassctl/table.h"
#include "fdpassctl/text.h"
#include "fdpassctl/verbs.h"

#define LIST_COLUMNS_MAX 12

/* Title of the column with the number of live connections. */
#define LIST_CONNECTIONS "CONNECTIONS"

/* How one of the lists is asked for and shown. */
typedef struct ListSpec {
        const char *noun;   /* of one entry, in the footer */
        const char *method; /* of the broker's D-Bus interface */
        const Column *columns;
        size_t n_columns;
        void (*add)(Table *t, const Value *row); /* adds a row's cells */
        int (*complete)(Value *list); /* adds what the broker does not know; NULL: nothing. An error leaves it out */
} ListSpec;

static void list_add_string(Table *t, const Value *row, const char *name) {
        table_text(t, value_string(row, name), COLOR_NONE);
}

static void list_add_number(Table *t, const Value *row, const char *name) {
        table_number(t, value_number(row, name), COLOR_NONE);
}

static void list_add_sum(Table *t, const Value *row, const char *name) {
        uint64_t n = value_sum(value_get(row, name));

        table_number(t, n, n > 0 ? COLOR_YELLOW : COLOR_NONE);
}

/* Adds a list of strings as one cell: "a b c". */
static void list_add_strings(Table *t, const Value *row, const char *name) {
        const Value *list = value_get(row, name);
        _cleanup_free_ char *text = NULL;
        size_t size = 1;

        for (size_t i = 0; i < list->n_items; i++)
                size += strlen(value_item_string(list, i)) + 1;

        text = calloc(1, size);
        for (size_t i = 0, n = 0; text && i < list->n_items; i++)
                n += (size_t) snprintf(text + n, size - n, "%s%s", i > 0 ? " " : "", value_item_string(list, i));

        table_text(t, text ?: "", COLOR_NONE);
}

/* True if the broker tracks connections. Then rows have one cell more. */
static bool list_has_connections(const Value *row) {
        return value_get(row, "Connections")->kind != VALUE_NULL;
}

static void list_add_connections(Table *t, const Value *row) {
        if (list_has_connections(row))
                list_add_number(t, row, "Connections");
}

/* Leaves out the column of list_add_connections() if no connections are tracked. Returns the number of columns. */
static size_t list_choose_columns(const ListSpec *spec, const Value *list, Column *ret) {
        bool is_tracked = list->n_items > 0 && list_has_connections(&list->items[0]);
        size_t n = 0;

        for (size_t i = 0; i < spec->n_columns; i++)
                if (is_tracked || !streq(spec->columns[i].title, LIST_CONNECTIONS))
                        ret[n++] = spec->columns[i];

        return n;
}

static void list_print_table(const ListSpec *spec, const Value *list) {
        Column columns[LIST_COLUMNS_MAX];
        _cleanup_(table_freep) Table *t = table_new(columns, list_choose_columns(spec, list, columns));

        for (size_t i = 0; t && i < list->n_items; i++)
                spec->add(t, &list->items[i]);

        pager_open();
        table_print(t, stdout, line_width(), !arg_no_legend && list->n_items > 0);
        if (!arg_no_legend)
                printf("%s%zu %s%s listed.\n", list->n_items > 0 ? "\n" : "", list->n_items, spec->noun,
                       list->n_items == 1 ? "" : "s");
}

static int list_run(const ListSpec *spec) {
        _cleanup_value_ Value list = {};
        _cleanup_bus_ sd_bus *bus = NULL;
        int status = running_open(&bus);

        if (status != 0)
                return status;
        if (bus_list(bus, spec->method, &list) < 0)
                return EXIT_FAILURE;
        if (spec->complete)
                (void) spec->complete(&list);

        if (arg_json != JSON_OFF) {
                json_print(stdout, &list, arg_json);
                putchar('\n');
        } else
                list_print_table(spec, &list);

        return EXIT_SUCCESS;
}

/* The kernel does not count connections of AF_UNIX. */
static void list_add_open(Table *t, const Value *row) {
        if (value_get(row, "Open")->kind == VALUE_NULL)
                table_text(t, "-", COLOR_NONE);
        else
                list_add_number(t, row, "Open");
}

static void list_add_listener(Table *t, const Value *row) {
        list_add_string(t, row, "Name");
        list_add_string(t, row, "Address");
        table_state(t, value_string(row, "State"));
        list_add_number(t, row, "Accepted");
        list_add_open(t, row);
        list_add_sum(t, row, "Refusals");
        list_add_string(t, row, "Unit");
}

int verb_list_listeners(int argc, char *argv[]) {
        static const Column columns[] = {
                { "NAME", COLUMN_SHRINK },     { "ADDRESS", COLUMN_SHRINK }, { "STATE", COLUMN_LEFT },
                { "ACCEPTED", COLUMN_RIGHT },  { "OPEN", COLUMN_RIGHT },     { "REFUSED", COLUMN_RIGHT },
                { "UNIT", COLUMN_SHRINK },
        };

        return list_run(&(ListSpec){ "listener", "ListListeners", columns, ELEMENTSOF(columns), list_add_listener,
                                     socket_open_add });
}

static void list_add_route(Table *t, const Value *row) {
        const char *match = value_string(row, "Match");
        uint64_t queued = value_number(row, "Queued");

        list_add_string(t, row, "Unit");
        table_text(t, *match ? match : "any client", *match ? COLOR_NONE : COLOR_GREY);
        table_state(t, value_string(row, "State"));
        table_number(t, queued, queued > 0 ? COLOR_YELLOW : COLOR_NONE);
        list_add_number(t, row, "Pending");
        list_add_connections(t, row);
        table_number(t, value_number(row, "Taken") + value_number(row, "Answered"), COLOR_NONE);
        list_add_sum(t, row, "Refusals");
        table_text(t, value_number(row, "PoolSize") > 1 ? value_string(row, "Pool") : "", COLOR_NONE);
}

int verb_list_routes(int argc, char *argv[]) {
        static const Column columns[] = {
                { "UNIT", COLUMN_SHRINK },   { "MATCH", COLUMN_SHRINK },  { "STATE", COLUMN_LEFT },
                { "QUEUED", COLUMN_RIGHT },  { "PENDING", COLUMN_RIGHT }, { LIST_CONNECTIONS, COLUMN_RIGHT },
                { "TAKEN", COLUMN_RIGHT },   { "REFUSED", COLUMN_RIGHT }, { "POOL", COLUMN_SHRINK },
        };

        return list_run(&(ListSpec){ "route", "ListRoutes", columns, ELEMENTSOF(columns), list_add_route, NULL });
}

/* Adds the state with its reason, "gone: Permission denied". */
static void list_add_state(Table *t, const char *state, const char *reason) {
        char text[96];

        (void) snprintf(text, sizeof(text), "%s%s%s", state, *reason ? ": " : "", reason);
        table_text(t, text, state_color(state));
}

/* A drained worker has the number of clients that are left: those with a receipt, and those that wait for it. */
static void list_add_worker_state(Table *t, const Value *row) {
        const char *state = value_string(row, "State");
        char text[64];

        if (!streq(state, "drained") || !list_has_connections(row)) {
                list_add_state(t, state, streq(state, "gone") ? value_string(row, "GoneError") : "");
                return;
        }

        (void) snprintf(text, sizeof(text), "%s, %" PRIu64 " left", state,
                        value_number(row, "Connections") + value_number(row, "Pending"));
        table_text(t, text, state_color(state));
}

static void list_add_worker(Table *t, const Value *row) {
        list_add_string(t, row, "Worker");
        list_add_worker_state(t, row);
        list_add_number(t, row, "Pending");
        list_add_connections(t, row);
        list_add_number(t, row, "Taken");
        list_add_number(t, row, "Rerouted");
        list_add_number(t, row, "Unread");
        list_add_strings(t, row, "Units");
}

int verb_list_workers(int argc, char *argv[]) {
        static const Column columns[] = {
                { "WORKER", COLUMN_SHRINK | COLUMN_CUT_LEFT }, { "STATE", COLUMN_LEFT }, { "PENDING", COLUMN_RIGHT },
                { LIST_CONNECTIONS, COLUMN_RIGHT }, { "TAKEN", COLUMN_RIGHT }, { "REROUTED", COLUMN_RIGHT },
                { "UNREAD", COLUMN_RIGHT }, { "UNITS", COLUMN_SHRINK },
        };

        return list_run(&(ListSpec){ "worker", "ListWorkers", columns, ELEMENTSOF(columns), list_add_worker, NULL });
}

static void list_add_client(Table *t, const Value *row) {
        char span[32];

        list_add_string(t, row, "Client");
        list_add_string(t, row, "Listener");
        list_add_state(t, value_string(row, "State"), value_string(row, "Reason"));
        table_text(t, text_from_span(span, value_number(row, "AgeUSec")), COLOR_NONE);
        list_add_string(t, row, "Route");
        list_add_string(t, row, "Worker");
}

int verb_list_clients(int argc, char *argv[]) {
        static const Column columns[] = {
                { "CLIENT", COLUMN_SHRINK }, { "LISTENER", COLUMN_SHRINK }, { "STATE", COLUMN_LEFT },
                { "AGE", COLUMN_RIGHT },     { "ROUTE", COLUMN_SHRINK },
                { "WORKER", COLUMN_SHRINK | COLUMN_CUT_LEFT },
        };

        return list_run(&(ListSpec){ "client", "ListClients", columns, ELEMENTSOF(columns), list_add_client, NULL });
}
