/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is counted for routes, workers and listeners, and workers that are drained. */

#include "broker-fixture.h"

#include "broker/stats.h"

static void test_histogram(void **state) {
        Histogram h = {};

        /* Each bucket's end belongs to it. */
        histogram_add(&h, 0);
        histogram_add(&h, 64);
        assert_int_equal(h.n[0], 2);
        histogram_add(&h, 65);
        histogram_add(&h, 128);
        assert_int_equal(h.n[1], 2);
        histogram_add(&h, 129);
        assert_int_equal(h.n[2], 1);
        histogram_add(&h, 64 << 20);
        assert_int_equal(h.n[20], 1);
        histogram_add(&h, (64 << 20) + 1);
        histogram_add(&h, USEC_INFINITY / 2);
        assert_int_equal(h.n[21], 2);
}

static void test_survive_reload(void **state) {
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

static void test_refusals(void **state) {
        int client;

        USE({ .unit = "a.socket", .worker = "nobody", .queue_timeout = 100 * USEC_PER_MSEC });
        client = dial_and_say("public", 'x');
        WAIT_FOR(is_closed(client));
        assert_int_equal(route_n_refused("a.socket", REFUSAL_TIMEOUT), 1);
        assert_int_equal(listener_n_refused("public", REFUSAL_TIMEOUT), 1);
        assert_int_equal(listener_n_accepted("public"), 1);
        fd_close(client);
}

static void test_drain_one_of_two(void **state) {
        int a = listen_at("a", 16), b = listen_at("b", 16), clients[3];

        USE({ .unit = "a.socket", .worker = "a" }, { .unit = "b.socket", .worker = "b" });
        drain("a", true);

        for (size_t i = 0; i < ELEMENTSOF(clients); i++) {
                clients[i] = dial_and_say("public", (char) ('0' + i));
                assert_int_equal(take_byte(b), '0' + (int) i);
        }
        assert_false(has_event(a, POLLIN));

        for (size_t i = 0; i < ELEMENTSOF(clients); i++)
                fd_close(clients[i]);
        fd_close(a);
        fd_close(b);
}

static void test_drain_the_only_one(void **state) {
        int a = listen_at("a", 16), client;

        USE({ .unit = "a.socket", .worker = "a" });
        drain("a", true);

        client = dial_and_say("public", 'x');
        WAIT_FOR(queued("a.socket") == 1);
        assert_false(has_event(a, POLLIN));

        /* A reload changes nothing about it. */
        USE({ .unit = "a.socket", .worker = "a", .priority = 1 });
        assert_true(is_drained("a"));

        drain("a", false);
        assert_int_equal(take_byte(a), 'x');

        fd_close(client);
        fd_close(a);
}

static struct {
        unsigned n[_EVENT_MAX];
} seen;

static void on_observed(void *userdata, EventKind kind, const Client *c, const Route *route) {
        seen.n[kind]++;
}

static void test_observer(void **state) {
        int a = listen_at("a", 16), client;

        memset(&seen, 0, sizeof(seen));
        USE({ .unit = "a.socket", .worker = "a" });
        observe(on_observed);

        client = dial_and_say("public", 'x');
        assert_int_equal(take_byte(a), 'x');
        WAIT_FOR(seen.n[EVENT_HANDED] == 1);
        fd_close(client);
        fd_close(a);

        client = dial_and_say("public", 'y');
        WAIT_FOR(seen.n[EVENT_REFUSED] == 1);
        assert_int_equal(seen.n[EVENT_WORKER_GONE], 1);
        fd_close(client);
}

TEST_MAIN(cmocka_unit_test(test_histogram),
          BROKER_TEST(test_survive_reload),
          BROKER_TEST(test_refusals),
          BROKER_TEST(test_drain_one_of_two),
          BROKER_TEST(test_drain_the_only_one),
          BROKER_TEST(test_observer))
