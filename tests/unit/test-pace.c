/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* When clients come quickly, and when not any more. */

#include "test.h"

#include "broker/pace.h"

static Pace p;
static usec_t now;
static uint64_t n_accepted;

static int setup(void **state) {
        pace_init(&p);
        now = 3600 * USEC_PER_SEC;
        n_accepted = 0;
        return 0;
}

/* So many turns, each with @n clients, @usec after the one before. */
static bool turns(unsigned n_turns, uint64_t n, usec_t usec) {
        bool is_quick = false;

        for (unsigned i = 0; i < n_turns; i++) {
                now += usec;
                n_accepted += n;
                is_quick = pace_update(&p, n_accepted, now);
        }

        return is_quick;
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
        pace_slow_down(&p, now);
        assert_false(turns(100, 1, 40));
        assert_true(turns(2500, 1, 40)); /* 100 ms later */
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(test_rates, setup),
                cmocka_unit_test_setup(test_beginning_and_end, setup),
                cmocka_unit_test_setup(test_other_turns, setup),
                cmocka_unit_test_setup(test_between, setup),
                cmocka_unit_test_setup(test_too_slow, setup),
        };

        return cmocka_run_group_tests(tests, remember_fds, compare_fds);
}
