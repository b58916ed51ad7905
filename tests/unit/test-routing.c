/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Generations of routes: what a reload changes, and what it keeps. */

#include "broker-fixture.h"

/* New routes are for new clients; those under way keep theirs, and its window holds on. */
static void test_reload(void **state) {
        int a = listen_at("a", 8), b = listen_at("b", 8), clients[3];

        USE({ .unit = "a.socket", .worker = "a", .max_pending = 1 });
        clients[0] = dial_and_say("public", '0');
        clients[1] = dial_and_say("public", '1');
        WAIT_FOR(n_accepted() == 2);

        USE({ .unit = "b.socket", .worker = "b" });
        clients[2] = dial_and_say("public", '2');
        assert_int_equal(take_byte(b), '2');
        assert_int_equal(take_byte(a), '0');
        assert_int_equal(take_byte(a), '1');
        WAIT_FOR(n_in_broker() == 0);
        assert_int_equal(n_workers(), 1);

        for (size_t i = 0; i < ELEMENTSOF(clients); i++)
                fd_close(clients[i]);
        fd_close(a);
        fd_close(b);
}

static void test_counters_survive_reload(void **state) {
        int a = listen_at("a", 16), b = listen_at("b", 16), client;

        USE({ .unit = "a.socket", .worker = "a" });
        client = dial_and_say("public", 'x');
        assert_int_equal(take_byte(a), 'x');
        WAIT_FOR(route_n_taken("a.socket") == 1);
        fd_close(client);

        assert_int_equal(route_n_timed("a.socket"), 1);
        assert_int_equal(worker_n_taken("a"), 1);

        /* The same unit and worker: the same counters, whatever else changes. */
        USE({ .unit = "a.socket", .worker = "a", .priority = 5 }, { .unit = "b.socket", .worker = "b" });
        assert_int_equal(route_n_taken("a.socket"), 1);
        assert_int_equal(route_n_timed("a.socket"), 1);
        assert_int_equal(route_n_taken("b.socket"), 0);

        /* Another worker under the same unit, and another unit to the same worker, count for themselves. */
        USE({ .unit = "a.socket", .worker = "b" }, { .unit = "c.socket", .worker = "a" });
        assert_int_equal(route_n_taken("a.socket"), 0);
        assert_int_equal(route_n_taken("c.socket"), 0);
        assert_int_equal(worker_n_taken("a"), 1);

        fd_close(a);
        fd_close(b);
}

/* A listener that a route has to itself: a client gets it without a byte, and whatever its bytes are. */
static void test_own_listener(void **state) {
        int a = listen_at("a", 8), b = listen_at("b", 8), silent, git;
        const RouteSpec specs[] = {
                { .unit = "a.socket", .worker = "a", .listener = "public" },
                { .unit = "b.socket", .worker = "b", .host = "h", .protocols = 1U << PROBE_HTTP },
        };
        Config *config = config_of(specs, ELEMENTSOF(specs));

        config->listener_default.head_timeout_usec = config->listener_default.silent_timeout_usec = 60 * USEC_PER_SEC;
        use_config(config);

        silent = dial("public");
        WAIT_FOR(has_event(a, POLLIN));
        say(silent, "s");
        assert_int_equal(take_byte(a), 's');

        git = dial("public");
        say(git, "003agit-upload-pack /x.git");
        assert_int_equal(take_byte(a), '0');
        assert_false(has_event(b, POLLIN));

        fd_close(silent);
        fd_close(git);
        fd_close(a);
        fd_close(b);
}

TEST_MAIN(BROKER_TEST(test_reload),
          BROKER_TEST(test_counters_survive_reload),
          BROKER_TEST(test_own_listener))
