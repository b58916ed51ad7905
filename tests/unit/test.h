/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Every unit test includes this first: cmocka with the headers that it needs, and a check for open descriptors. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "basic/macro.h"

/* The number that the next open file gets. It is the same before and behind a test that leaks none. */
static inline int lowest_free_fd(void) {
        int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);

        close(fd);
        return fd;
}

static inline int remember_fds(void **state) {
        *state = (void *) (intptr_t) lowest_free_fd();
        return 0;
}

static inline int compare_fds(void **state) {
        int before = (int) (intptr_t) *state, after = lowest_free_fd();

        if (before == after)
                return 0;

        print_error("descriptors leaked: the lowest free one was %i and is %i\n", before, after);
        return -1;
}

/* An entry of TEST_MAIN() with the check around it. */
#define TEST(f) cmocka_unit_test_setup_teardown(f, remember_fds, compare_fds)

/* Leaves only the tests that match the first argument, as in `test-head 'test_evicts*'`. Exits if none does. */
static inline void choose_tests(int argc, char *argv[], const struct CMUnitTest *tests, size_t n_tests) {
        if (argc < 2)
                return;

        cmocka_set_test_filter(argv[1]);
        for (size_t i = 0; i < n_tests; i++)
                if (fnmatch(argv[1], tests[i].name, 0) == 0)
                        return;

        fprintf(stderr, "No test matches %s. There are:\n", argv[1]);
        for (size_t i = 0; i < n_tests; i++)
                fprintf(stderr, "  %s\n", tests[i].name);
        exit(EXIT_FAILURE);
}

/* The main() of a test program, with its entries. The other macro adds what is done once for all of them. */
#define TEST_MAIN(...) TEST_MAIN_WITH(NULL, NULL, __VA_ARGS__)
#define TEST_MAIN_WITH(group_setup, group_teardown, ...)                                \
        int main(int argc, char *argv[]) {                                              \
                static const struct CMUnitTest tests[] = { __VA_ARGS__ };               \
                                                                                        \
                choose_tests(argc, argv, tests, ELEMENTSOF(tests));                     \
                return cmocka_run_group_tests(tests, group_setup, group_teardown);      \
        }
