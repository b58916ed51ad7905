/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which warnings about units the broker logs. */

#include "test.h"

#include "fdpassd/load-lint.h"

static bool take(LoadLint *l, unsigned line) {
        return load_lint_take(l, "a.socket", "/a.socket", line, "It is wrong.");
}

/* A warning is logged again only if a load in between had none of it. */
static void test_again(_unused_ void **state) {
        LoadLint l = {};

        load_lint_begin(&l);
        assert_true(take(&l, 1));
        assert_true(take(&l, 2));
        assert_true(load_lint_take(&l, "a.socket", "/a.socket", 2, "It is bad."));
        assert_true(load_lint_take(&l, "a.socket", "/b.socket", 2, "It is wrong."));
        assert_true(load_lint_take(&l, "a.socket", NULL, 0, "It is wrong."));

        load_lint_begin(&l);
        assert_false(take(&l, 2));
        assert_true(take(&l, 3));

        load_lint_begin(&l);
        assert_true(take(&l, 1));
        assert_false(take(&l, 2));
        assert_false(take(&l, 3));
        load_lint_done(&l);
}

/* The warnings that had no place at one load come at the next. */
static void test_limit(_unused_ void **state) {
        unsigned n = 2 * LOAD_LINT_LOGGED_MAX, n_logged = 0;
        LoadLint l = {};

        load_lint_begin(&l);
        for (unsigned i = 0; i < n + 3; i++)
                n_logged += take(&l, i);
        assert_int_equal(n_logged, LOAD_LINT_LOGGED_MAX);
        assert_int_equal(l.n_hidden, n + 3 - LOAD_LINT_LOGGED_MAX);

        load_lint_begin(&l);
        for (unsigned i = 0; i < n + 3; i++)
                n_logged += take(&l, i);
        assert_int_equal(n_logged, n);
        assert_int_equal(l.n_hidden, 3);

        load_lint_begin(&l);
        for (unsigned i = 0; i < n + 3; i++)
                n_logged += take(&l, i);
        assert_int_equal(n_logged, n + 3);
        assert_int_equal(l.n_hidden, 0);
        load_lint_done(&l);
}

TEST_MAIN(TEST(test_again),
          TEST(test_limit))
