/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What every unit test includes first: cmocka in the order it wants, and a group that fails when a test
 * leaves a descriptor open.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
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

/* An entry for cmocka_run_group_tests() with the check around it. */
#define TEST(f) cmocka_unit_test_setup_teardown(f, remember_fds, compare_fds)
