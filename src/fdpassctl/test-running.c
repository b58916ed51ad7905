/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/test-running.h"

#include <stdio.h>

#include "fdpassctl/bus.h"
#include "fdpassctl/options.h"
#include "fdpassctl/table.h"
#include "fdpassctl/test-bytes.h"
#include "fdpassctl/text.h"

static void test_running_print_pool(const Value *o) {
        const Value *units = value_get(o, "Units"), *workers = value_get(o, "Workers");
        const Value *states = value_get(o, "States");

        for (size_t i = 0; i < units->n_items; i++) {
                const char *state = value_item_string(states, i);

                printf("%s ", i == 0 ? "→" : " ");
                text_print(stdout, value_item_string(units, i));
                printf(" → ");
                text_print(stdout, value_item_string(workers, i));
                printf(" %s%s%s\n", terminal_color(state_color(state)), state, terminal_color(COLOR_NONE));
        }
}

static void test_running_print_text(const Value *o) {
        const char *result = value_string(o, "Result"), *reason = value_string(o, "Reason");

        if (streq(result, "more"))
                printf("The broker would wait for more bytes: these are only the beginning of a head.\n");
        else if (streq(result, "route"))
                test_running_print_pool(o);
        else if (streq(reason, "no-route"))
                printf("No route takes this client.\n");
        else {
                printf("The broker would refuse this: ");
                text_print(stdout, reason);
                printf(".\n");
        }
}

static int test_running_print(const Value *o) {
        /* With -q only the exit status tells the result. */
        if (!arg_quiet && arg_json != JSON_OFF) {
                json_print(stdout, o, arg_json);
                putchar('\n');
        } else if (!arg_quiet)
                test_running_print_text(o);

        return streq(value_string(o, "Result"), "route") ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int test_running_ask(sd_bus *bus, const TestRequest *d, const TestBytes *b, Value *ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        r = sd_bus_message_new_method_call(bus, &m, NULL, BUS_PATH, BUS_INTERFACE, "Test");
        if (r >= 0)
                r = sd_bus_message_append(m, "ss", d->facts.listener, d->source_text ?: "");
        if (r >= 0)
                r = sd_bus_message_append_array(m, 'y', b->p, b->n);
        if (r >= 0)
                r = sd_bus_call(bus, m, 0, &error, &reply);
        if (r >= 0)
                r = value_read(reply, ret);
        if (r < 0)
                fprintf(stderr, "%s\n", error.message ?: strerror(-r));

        return r;
}

int test_running(const TestRequest *d) {
        _cleanup_value_ Value outcome = {};
        _cleanup_bus_ sd_bus *bus = NULL;
        TestBytes b = {};

        if (test_bytes_make(d, &b) < 0 || bus_open(&bus) < 0 || test_running_ask(bus, d, &b, &outcome) < 0)
                return EXIT_FAILURE;

        return test_running_print(&outcome);
}
