/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Says a thing once per interval, and how often it was left unsaid in between. */

#include "basic/macro.h"
#include "basic/time.h"

typedef struct RateLimit {
        usec_t last;           /* when it was said last, 0: never */
        uint64_t n_suppressed; /* since then */
} RateLimit;

/*
 * Counts one event at @now. True where it is time to speak: *ret_n is then the number of events that this
 * one stands for, itself included.
 */
static inline bool ratelimit_test(RateLimit *rl, usec_t now, usec_t interval, uint64_t *ret_n) {
        rl->n_suppressed++;

        if (rl->last != 0 && now < usec_add(rl->last, interval))
                return false;

        *ret_n = rl->n_suppressed;
        rl->last = MAX(now, (usec_t) 1);
        rl->n_suppressed = 0;
        return true;
}

/*
 * The same for what was left unsaid and is followed by no other event: true where there is some, and its interval
 * is over.
 */
static inline bool ratelimit_flush(RateLimit *rl, usec_t now, usec_t interval, uint64_t *ret_n) {
        if (rl->n_suppressed == 0 || now < usec_add(rl->last, interval))
                return false;

        *ret_n = rl->n_suppressed;
        rl->last = MAX(now, (usec_t) 1);
        rl->n_suppressed = 0;
        return true;
}
