/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* When clients come quickly, and when not any more. */

#include "test.h"

#include "event/poll-mode.h"

static PollMode p;
static usec_t now;
static uint64_t n_accepted;

static int setup(void **state) {
        poll_mode_init(&p);
        now = 3600 * USEC_PER_SEC;
        n_accepted = 0;
        return 0;
}

/* Makes @n_turns turns, each with @n clients, @usec after the last one. */
static bool turns(unsigned n_turns, uint64_t n, usec_t usec) {
        bool is_busy = false;

        for (unsigned i = 0; i < n_turns; i++) {
                now += usec;
                n_accepted += n;
                is_busy = poll_mode_update(&p, n_accepted, now);
        }

        return is_busy;
}

static void test_rates(void **state) {
        assert_false(turns(100, 1, 1000));
        assert_false(turns(100, 1, 200)); /* 5,000/s */
        assert_true(turns(100, 1, 50));   /* 20,000/s */
        assert_false(turns(100, 1, 200));
        assert_true(turns(100, 20, 1000)); /* one processor for everybody: seldom, but then many */
}

/* A page that asks for a few things at once is no flood, and after a pause nothing is left of one. */
static void test_beginning_and_end(void **state) {
        assert_false(turns(6, 1, 20));
        assert_true(turns(100, 1, 20));
        assert_false(turns(1, 1, 20 * USEC_PER_MSEC));
}

/* Turns without clients say nothing about those. */
static void test_other_turns(void **state) {
        assert_true(turns(100, 1, 40));
        assert_false(turns(2, 0, 6 * USEC_PER_MSEC)); /* without new clients the rate is low */
        assert_true(turns(100, 1, 40));
        for (unsigned i = 0; i < 100; i++) {
                assert_true(turns(1, 0, 10));
                assert_true(turns(1, 1, 30));
        }
}

/* Between the two limits it stays as it is. */
static void test_between(void **state) {
        assert_false(turns(100, 1, 110));
        assert_true(turns(100, 1, 40));
        assert_true(turns(100, 1, 110));
}

static void test_too_slow(void **state) {
        assert_true(turns(100, 1, 40));
        poll_mode_slow_down(&p, now);
        assert_false(turns(100, 1, 40));
        assert_true(turns(2500, 1, 40)); /* 100 ms later */
}

/* Clients come every 40 us, but with naps in so many. */
static void go_on(usec_t with_naps, usec_t span) {
        for (usec_t end = now + span; now < end;)
                (void) turns(1, 1, p.coalescing == COALESCE_TRY_WITH || p.coalescing == COALESCE_YES ? with_naps : 40);
}

static void test_naps(void **state) {
        go_on(40, 5 * USEC_PER_MSEC);
        assert_int_equal(p.coalescing, COALESCE_TRY_WITHOUT);
        go_on(40, 10 * USEC_PER_MSEC);
        assert_int_equal(p.coalescing, COALESCE_TRY_WITH);
        go_on(30, 10 * USEC_PER_MSEC);
        assert_int_equal(p.coalescing, COALESCE_YES);

        /* It does not hold for ever: others wait for each other by now. */
        go_on(30, 250 * USEC_PER_MSEC);
        assert_int_equal(p.coalescing, COALESCE_TRY_WITHOUT);
        go_on(50, 20 * USEC_PER_MSEC);
        assert_int_equal(p.coalescing, COALESCE_NO);
}

/* If naps do not change the rate, they are used, because they save CPU time. */
static void test_naps_at_one_rate(void **state) {
        go_on(41, 30 * USEC_PER_MSEC);
        assert_int_equal(p.coalescing, COALESCE_YES);
}

static void test_no_naps(void **state) {
        assert_true(turns(1000, 1, 70));
        assert_int_equal(p.coalescing, COALESCE_NO);
        go_on(40, 300 * USEC_PER_MSEC);
        assert_int_equal(p.coalescing, COALESCE_YES);
        assert_false(turns(100, 1, 200));
        assert_int_equal(p.coalescing, COALESCE_NO);
}

TEST_MAIN_WITH(remember_fds, compare_fds,
               cmocka_unit_test_setup(test_rates, setup),
               cmocka_unit_test_setup(test_beginning_and_end, setup),
               cmocka_unit_test_setup(test_other_turns, setup),
               cmocka_unit_test_setup(test_between, setup),
               cmocka_unit_test_setup(test_too_slow, setup),
               cmocka_unit_test_setup(test_naps, setup),
               cmocka_unit_test_setup(test_naps_at_one_rate, setup),
               cmocka_unit_test_setup(test_no_naps, setup))
