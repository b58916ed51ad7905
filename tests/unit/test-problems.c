/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Sentences of `fdpassctl status` about units, by answers of the broker and of systemd that the test makes. */

#include "test.h"

#include "config/stamp.h"
#include "fdpassctl/manager.h"
#include "fdpassctl/problems.h"
#include "fdpassctl/problems-units.h"

static void add_number(Value *dict, const char *name, uint64_t n) {
        Value *v = value_add(dict, name, VALUE_UNSIGNED);

        assert_non_null(v);
        v->u = n;
}

static Value *add_row(Value *list, const char *unit, const char *stamp) {
        Value *row;

        list->kind = VALUE_LIST;
        row = value_add(list, NULL, VALUE_DICT);
        assert_non_null(row);
        assert_int_equal(value_add_string(row, "Unit", unit), 0);
        if (stamp)
                assert_int_equal(value_add_string(row, "Stamp", stamp), 0);
        return row;
}

/* The states of units in words, as an administrator needs them. */
static void test_describe(_unused_ void **state) {
        static const struct {
                const char *load, *active, *sub, *result;
                int status;
                unsigned n_restarts;
                const char *text;
        } cases[] = {
                { "loaded", "active", "running", "success", 0, 0, "active (running)" },
                { "loaded", "inactive", "dead", "success", 0, 0, "inactive (dead)" },
                { "loaded", "failed", "failed", "exit-code", 203, 0, "failed (exit-code 203: the program can't be executed)" },
                { "loaded", "failed", "failed", "exit-code", 1, 0, "failed (exit-code 1)" },
                { "loaded", "failed", "failed", "signal", 9, 0, "failed (signal)" },
                { "loaded", "failed", "failed", "trigger-limit-hit", 0, 0, "failed (trigger-limit-hit)" },
                { "loaded", "activating", "start-pre", "success", 0, 0, "activating (start-pre)" },
                { "loaded", "activating", "auto-restart", "exit-code", 203, 7,
                  "activating (auto-restart; exit-code 203: the program can't be executed), restarted 7 times" },
                { "not-found", "inactive", "dead", "", 0, 0, "not-found" },
                { "masked", "inactive", "dead", "", 0, 0, "masked" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_value_ Value unit = { .kind = VALUE_DICT };
                char text[256];
                Value *status;

                assert_int_equal(value_add_string(&unit, "LoadState", cases[i].load), 0);
                assert_int_equal(value_add_string(&unit, "ActiveState", cases[i].active), 0);
                assert_int_equal(value_add_string(&unit, "SubState", cases[i].sub), 0);
                assert_int_equal(value_add_string(&unit, "Result", cases[i].result), 0);
                status = value_add(&unit, "ExecMainStatus", VALUE_SIGNED);
                assert_non_null(status);
                status->i = cases[i].status;
                add_number(&unit, "NRestarts", cases[i].n_restarts);
                manager_describe(&unit, text, sizeof(text));
                assert_string_equal(text, cases[i].text);
        }
}

static void expect_changes(const Snapshot *s, const Config *config, const char *expected) {
        _cleanup_free_ char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        assert_non_null(f);
        problems_print_changes(f, s, NULL, config);
        assert_int_equal(fclose(f), 0);
        if (!expected)
                assert_string_equal(text, "");
        else
                assert_non_null(strstr(text, expected));
}

/* A unit was changed if its stamp is another one, or if only the broker has it, or only the files. */
static void test_changes(_unused_ void **state) {
        RouteConfig routes[] = { { .unit = (char[]){ "b.socket" }, .stamp = 2 }, { .unit = (char[]){ "a.socket" }, .stamp = 1 } };
        ListenerConfig listener = { .unit = (char[]){ "fdpass.socket" }, .name = (char[]){ "public" }, .stamp = 3 };
        Config config = { .routes = routes, .n_routes = 2, .listeners = &listener, .n_listeners = 1, .broker.stamp = 4 };
        Snapshot s = { .properties.kind = VALUE_DICT };
        char text[STAMP_TEXT_MAX];

        /* A broker without stamps is of another version. */
        expect_changes(&s, &config, NULL);

        assert_int_equal(value_add_string(&s.properties, "Stamp", stamp_to_string(4, text)), 0);
        (void) add_row(&s.routes, "a.socket", stamp_to_string(1, text));
        (void) add_row(&s.routes, "b.socket", stamp_to_string(2, text));
        (void) add_row(&s.listeners, "fdpass.socket", stamp_to_string(3, text));
        expect_changes(&s, &config, NULL);

        routes[1].stamp = 17;
        expect_changes(&s, &config, "Units changed since the broker read them: a.socket. To have them read: fdpassctl reload");
        routes[1].stamp = 1;
        config.n_routes = 1; /* a.socket is no longer enabled */
        expect_changes(&s, &config, "read them: a.socket. ");
        routes[1].unit = (char[]){ "c.socket" };
        config.n_routes = 2; /* c.socket is */
        expect_changes(&s, &config, "read them: a.socket, c.socket. ");
        config.broker.stamp = 5;
        listener.stamp = 6;
        expect_changes(&s, &config, "read them: a.socket, c.socket, fdpass.service, fdpass.socket. ");

        snapshot_done(&s);
}

/* Socket units that trigger the broker, and those that are enabled: each once. */
static void test_sockets(_unused_ void **state) {
        ListenerConfig listeners[] = {
                { .unit = (char[]){ "fdpass.socket" }, .is_enabled = true },
                { .unit = (char[]){ "fdpass@443.socket" }, .is_enabled = true },
                { .unit = (char[]){ "off.socket" } },
        };
        Config config = { .listeners = listeners, .n_listeners = ELEMENTSOF(listeners) };
        _cleanup_value_ Value service = { .kind = VALUE_DICT };
        _cleanup_strlist_ StringList units = {};
        Value *names = value_add(&service, "TriggeredBy", VALUE_LIST);

        assert_int_equal(value_add_string(names, NULL, "fdpass.socket"), 0);
        assert_int_equal(value_add_string(names, NULL, "fdpass.timer"), 0);
        assert_int_equal(value_add_string(names, NULL, "fdpass-control.socket"), 0);
        assert_int_equal(problems_list_sockets(&service, &config, &units), 0);
        assert_int_equal(units.n_items, 3);
        assert_string_equal(units.items[0], "fdpass-control.socket");
        assert_string_equal(units.items[1], "fdpass.socket");
        assert_string_equal(units.items[2], "fdpass@443.socket");
}

/* Limits that kept clients out, and a worker that takes none. */
static void test_limits_and_stuck(_unused_ void **state) {
        Snapshot s = { .properties.kind = VALUE_DICT };
        _cleanup_strlist_ StringList problems = {};
        Value *meanings = value_add(&s.properties, "RefusalMeanings", VALUE_DICT), *row, *recent;

        assert_int_equal(value_add_string(meanings, "source-full", "the address is full"), 0);
        row = add_row(&s.listeners, "fdpass.socket", NULL);
        assert_int_equal(value_add_string(row, "Name", "public"), 0);
        assert_int_equal(value_add_string(row, "FullSource", "192.0.2.7"), 0);
        add_number(row, "MaxClientsPerSource", 64);
        recent = value_add(row, "RecentRefusals", VALUE_DICT);
        assert_non_null(recent);
        add_number(recent, "source-full", 88);
        assert_int_equal(value_add_string(row, "FastSource", "2001:db8::1"), 0);
        assert_int_equal(value_add_string(row, "RateLimitPerSource", "100/10s"), 0);
        assert_int_equal(value_add_string(meanings, "source-rate", "the address is fast"), 0);
        add_number(recent, "source-rate", 1);
        add_number(recent, "no-route", 3);
        row = add_row(&s.routes, "a.socket", NULL);
        add_number(row, "RecentQueueFull", 1);
        add_number(row, "MaxQueued", 256);
        row = add_row(&s.workers, "a.socket", NULL);
        assert_int_equal(value_add_string(row, "Worker", "/run/a.sock"), 0);
        assert_int_equal(value_add_string(row, "State", "stuck"), 0);
        add_number(row, "Pending", 2);
        add_number(row, "StuckForUSec", 3 * USEC_PER_SEC);

        assert_int_equal(problems_find(&s, NULL, NULL, NULL, &problems), 0);
        assert_int_equal(problems.n_items, 4);
        assert_string_equal(problems.items[0], "Worker /run/a.sock does not take its clients: 2 wait in its backlog, for 3.0s.");
        assert_string_equal(problems.items[1], "Listener public: 88 clients were refused in the last 5 to 10 minutes: the address is full "
                                               "(source-full), 64 are allowed, the last one was 192.0.2.7.");
        assert_string_equal(problems.items[2], "Listener public: 1 client was refused in the last 5 to 10 minutes: the address is fast "
                                               "(source-rate), 100/10s are allowed, the last one was 2001:db8::1.");
        assert_non_null(strstr(problems.items[3], "a.socket: 1 client was refused in the last 5 to 10 minutes: "));
        snapshot_done(&s);
}

TEST_MAIN(cmocka_unit_test(test_describe),
          cmocka_unit_test(test_changes),
          cmocka_unit_test(test_sockets),
          cmocka_unit_test(test_limits_and_stuck))
