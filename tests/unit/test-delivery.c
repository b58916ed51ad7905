/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* From a pool to one of its workers. */

#include "broker-fixture.h"

/* A client arrives at the worker, with all that it said, and the broker is rid of it. */
static void test_handoff(void **state) {
        int worker = listen_at("a", 8), client;

        USE({ .unit = "a.socket", .worker = "a" });
        client = dial_and_say("public", 'x');
        assert_int_equal(take_byte(worker), 'x');

        WAIT_FOR(n_in_broker() == 0);
        assert_int_equal(n_taken(), 1);
        WAIT_FOR(is_closed(client));

        fd_close(client);
        fd_close(worker);
}

/* Equal routes share their clients. */
static void test_pool_balances(void **state) {
        int a = listen_at("a", 64), b = listen_at("b", 64), clients[10];

        USE({ .unit = "a.socket", .worker = "a" }, { .unit = "b.socket", .worker = "b" });
        assert_int_equal(n_pools(), 1);

        for (size_t i = 0; i < ELEMENTSOF(clients); i++)
                clients[i] = dial_and_say("public", 'x');
        WAIT_FOR(n_accepted() == ELEMENTSOF(clients));

        assert_int_equal(n_pending("a"), ELEMENTSOF(clients) / 2);
        assert_int_equal(n_pending("b"), ELEMENTSOF(clients) / 2);

        for (size_t i = 0; i < ELEMENTSOF(clients); i++)
                fd_close(clients[i]);
        fd_close(a);
        fd_close(b);
}

/* The route that names the listener goes before the one that takes all; RoutePriority= goes before both. */
static void test_rank(void **state) {
        int a = listen_at("a", 8), b = listen_at("b", 8), clients[4];

        assert_int_equal(broker_add_listener(t.broker, "other", listen_at("other", 8)), 0);

        USE({ .unit = "a.socket", .worker = "a" }, { .unit = "b.socket", .worker = "b", .listener = "other" });
        clients[0] = dial_and_say("public", '0');
        clients[1] = dial_and_say("other", '1');
        assert_int_equal(take_byte(a), '0');
        assert_int_equal(take_byte(b), '1');

        USE({ .unit = "a.socket", .worker = "a", .priority = 1 }, { .unit = "b.socket", .worker = "b", .listener = "other" });
        clients[2] = dial_and_say("other", '2');
        assert_int_equal(take_byte(a), '2');

        USE({ .unit = "b.socket", .worker = "b", .listener = "other" });
        clients[3] = dial("public");
        WAIT_FOR(is_closed(clients[3]));
        assert_int_equal(n_refused(REFUSAL_NO_ROUTE), 1);

        for (size_t i = 0; i < ELEMENTSOF(clients); i++)
                fd_close(clients[i]);
        fd_close(a);
        fd_close(b);
}

TEST_MAIN(BROKER_TEST(test_handoff),
          BROKER_TEST(test_pool_balances),
          BROKER_TEST(test_rank))
