/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/stopped.h"

#include <stdio.h>

#include "fdpassctl/load-units.h"
#include "fdpassctl/manager.h"
#include "fdpassctl/options.h"
#include "fdpassctl/problems-units.h"
#include "fdpassctl/running.h"
#include "fdpassctl/terminal.h"
#include "fdpassctl/text.h"

/* Prints one socket unit with its state, and why it has failed. Returns true if clients can come by it. */
static bool stopped_print_socket(sd_bus *manager, const char *unit, size_t width) {
        _cleanup_value_ Value state = {};
        _cleanup_free_ char *reason = NULL;
        bool is_active;
        char text[256] = "unknown";

        if (manager_get_unit(manager, unit, &state) >= 0)
                manager_describe(&state, text, sizeof(text));
        if (streq(value_string(&state, "ActiveState"), "failed"))
                reason = manager_find_reason(unit);

        is_active = streq(value_string(&state, "ActiveState"), "active");
        printf("    %-*s %s", (int) width, unit, terminal_color(is_active ? COLOR_GREEN : COLOR_RED));
        text_print(stdout, text);
        printf("%s%s", terminal_color(COLOR_NONE), reason ? ": " : "");
        text_print(stdout, reason ?: "");
        printf("\n");
        return is_active;
}

/* The control and return sockets bring no client from outside. */
static bool stopped_is_public(const Config *config, const char *unit) {
        const ListenerConfig *listener = config ? load_find_listener(config, unit) : NULL;

        return !listener || (!streq(listener->name, "control") && !startswith(listener->name, "return"));
}

static void stopped_print(sd_bus *manager, const char *name, const Value *service, const Config *config,
                          const StringList *sockets) {
        bool has_failed = streq(value_string(service, "ActiveState"), "failed"), is_open = false;
        size_t width = 0;
        char text[256];

        for (size_t i = 0; i < sockets->n_items; i++)
                width = MAX(width, strlen(sockets->items[i]));

        manager_describe(service, text, sizeof(text));
        printf("%s●%s fdpass, socket handoff broker: not running; %s: %s\n",
               terminal_color(has_failed ? COLOR_RED : COLOR_GREY), terminal_color(COLOR_NONE), name, text);
        for (size_t i = 0; i < sockets->n_items; i++) {
                bool is_active = stopped_print_socket(manager, sockets->items[i], width);

                is_open = is_open || (is_active && stopped_is_public(config, sockets->items[i]));
        }

        if (is_open)
                printf("The broker is not running. The first client starts it.\n");
        else
                printf("The broker is not running, and no public socket is open. To open the ports: "
                       "systemctl start fdpass.socket.\n");
        if (has_failed)
                printf("See systemctl status %s.\n", name);
}

static void stopped_print_json(sd_bus *manager, const StringList *sockets) {
        printf("{\"Broker\":{\"State\":\"stopped\"},\"Sockets\":[");
        for (size_t i = 0; i < sockets->n_items; i++) {
                _cleanup_value_ Value state = {};

                (void) manager_get_unit(manager, sockets->items[i], &state);
                printf("%s{\"Unit\":", i > 0 ? "," : "");
                json_print_string(stdout, sockets->items[i]);
                printf(",\"State\":");
                json_print_string(stdout, value_string(&state, "ActiveState"));
                printf("}");
        }
        printf("]}\n");
}

int stopped_show(sd_bus *manager, const char *name, const Value *service) {
        _cleanup_strlist_ StringList sockets = {};
        bool is_whole;
        _cleanup_(config_freep) Config *config = load_units_quietly(&is_whole);

        if (problems_list_sockets(service, config, &sockets) < 0)
                return EXIT_FAILURE;

        if (arg_json != JSON_OFF)
                stopped_print_json(manager, &sockets);
        else if (!arg_quiet)
                stopped_print(manager, name, service, config, &sockets);

        return RUNNING_EXIT_NOT;
}
