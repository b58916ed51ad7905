/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Times in µs. They are of CLOCK_MONOTONIC, because a change of the wall clock must not move a deadline. */

#include <stdint.h>
#include <time.h>

typedef uint64_t usec_t;

#define USEC_INFINITY UINT64_MAX
#define USEC_PER_MSEC ((usec_t) 1000)
#define USEC_PER_SEC (1000 * USEC_PER_MSEC)

static inline usec_t usec_now_on(clockid_t clock) {
        struct timespec ts = {};

        (void) clock_gettime(clock, &ts);
        return (usec_t) ts.tv_sec * USEC_PER_SEC + (usec_t) ts.tv_nsec / 1000;
}

static inline usec_t usec_now(void) {
        return usec_now_on(CLOCK_MONOTONIC);
}

/* Returns the time of CLOCK_REALTIME, since 1970. Only for display. */
static inline usec_t usec_now_realtime(void) {
        return usec_now_on(CLOCK_REALTIME);
}

/* Returns USEC_INFINITY if the sum is too large, so that an infinite span never ends. */
static inline usec_t usec_add(usec_t a, usec_t b) {
        return a > USEC_INFINITY - b ? USEC_INFINITY : a + b;
}
