/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Counters of routes, workers and listeners. */

#include "broker-fixture.h"

#include "broker/state/stats.h"

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

TEST_MAIN(cmocka_unit_test(test_histogram),
          BROKER_TEST(test_refusals))
