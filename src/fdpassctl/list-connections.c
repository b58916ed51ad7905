/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpassctl list-connections: the clients that workers have, as a table. */

#include <stdio.h>

#include "fdpassctl/bus.h"
#include "fdpassctl/options.h"
#include "fdpassctl/pager.h"
#include "fdpassctl/running.h"
#include "fdpassctl/socket-facts.h"
#include "fdpassctl/table.h"
#include "fdpassctl/text.h"
#include "fdpassctl/verbs.h"

static void list_connections_add_bytes(Table *t, const Value *row, const char *name) {
        char text[32];

        table_text(t, value_get(row, name)->kind == VALUE_NULL ? "-" : text_from_bytes(text, value_number(row, name)),
                   COLOR_NONE);
}

static void list_connections_add(Table *t, const Value *row) {
        char span[32];

        table_text(t, value_string(row, "Client"), COLOR_NONE);
        table_text(t, value_string(row, "Listener"), COLOR_NONE);
        table_text(t, text_from_span(span, value_number(row, "AgeUSec")), COLOR_NONE);
        list_connections_add_bytes(t, row, "BytesIn");
        list_connections_add_bytes(t, row, "BytesOut");
        table_text(t, value_get(row, "IdleUSec")->kind == VALUE_NULL
                              ? "-"
                              : text_from_span(span, value_number(row, "IdleUSec")), COLOR_NONE);
        table_text(t, value_string(row, "Route"), COLOR_NONE);
        table_text(t, value_number(row, "HandedBack") ? "(handed back)" : value_string(row, "Worker"),
                   value_number(row, "HandedBack") ? COLOR_GREY : COLOR_NONE);
}

static void list_connections_print(const Value *list) {
        static const Column columns[] = {
                { "CLIENT", COLUMN_SHRINK }, { "LISTENER", COLUMN_SHRINK }, { "AGE", COLUMN_RIGHT },
                { "IN", COLUMN_RIGHT },      { "OUT", COLUMN_RIGHT },       { "IDLE", COLUMN_RIGHT },
                { "ROUTE", COLUMN_SHRINK },  { "WORKER", COLUMN_SHRINK | COLUMN_CUT_LEFT },
        };
        _cleanup_(table_freep) Table *t = table_new(columns, ELEMENTSOF(columns));

        for (size_t i = 0; t && i < list->n_items; i++)
                list_connections_add(t, &list->items[i]);

        pager_open();
        table_print(t, stdout, line_width(), !arg_no_legend && list->n_items > 0);
        if (!arg_no_legend)
                printf("%s%zu connection%s listed.\n", list->n_items > 0 ? "\n" : "", list->n_items,
                       list->n_items == 1 ? "" : "s");
}

static int list_connections_run(sd_bus *bus, const BusFilter *filter) {
        _cleanup_value_ Value list = {};

        if (bus_list_filtered(bus, "ListConnections", filter, &list) < 0)
                return EXIT_FAILURE;

        /* The kernel may be kept from answering, for example by a sandbox. What the broker knows is shown anyway. */
        (void) socket_facts_add(&list);

        if (arg_json != JSON_OFF) {
                json_print(stdout, &list, arg_json);
                putchar('\n');
        } else
                list_connections_print(&list);

        return EXIT_SUCCESS;
}

static const char list_connections_help[] =
        "fdpassctl list-connections [OPTIONS...]\n\n"
        "List the clients that workers have, with the bytes so far and the time since the last one.\n\n"
        "     --route=UNIT     Only those of the route of this unit\n"
        "     --worker=WORKER  Only those of this worker: the path of its socket, or a unit that leads to it\n"
        "     --source=ADDRESS Only those of this IP address, or of a network such as 192.0.2.0/24\n"
        "  -h --help           Show this help\n";

int verb_list_connections(int argc, char *argv[]) {
        _cleanup_bus_ sd_bus *bus = NULL;
        BusFilter filter = { "", "", "" };
        const VerbOption options[] = {
                { "route", .text = &filter.route },
                { "worker", .text = &filter.worker },
                { "source", .text = &filter.source },
                {},
        };
        int i = parse_options(argc, argv, list_connections_help, options, NULL), status;

        if (i <= 0)
                return i;
        if (i < argc) {
                fprintf(stderr, "list-connections takes no arguments, but got %s. See fdpassctl list-connections --help.\n",
                        argv[i]);
                return -EINVAL;
        }

        status = running_open(&bus);
        return status != 0 ? status : list_connections_run(bus, &filter);
}
