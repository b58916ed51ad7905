/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Limits a log line to one per interval, and counts the events that have no line. */

#include "basic/macro.h"
#include "basic/time.h"

typedef struct RateLimit {
        usec_t last;           /* time of the last line; 0: none so far */
        uint64_t n_suppressed; /* events since @last */
} RateLimit;

/* Returns true if there are events without a line and the interval is over: then a line about @ret_n events is due. */
static inline bool ratelimit_flush(RateLimit *rl, usec_t now, usec_t interval, uint64_t *ret_n) {
        if (rl->n_suppressed == 0 || (rl->last != 0 && now < usec_add(rl->last, interval)))
                return false;

        *ret_n = rl->n_suppressed;
        rl->last = MAX(now, (usec_t) 1);
        rl->n_suppressed = 0;
        return true;
}

/*
 * Counts an event at @now. Returns true if a line is due: then @ret_n is the number of events that it stands for, this
 * one included. @now and @interval are in µs.
 */
static inline bool ratelimit_test(RateLimit *rl, usec_t now, usec_t interval, uint64_t *ret_n) {
        rl->n_suppressed++;
        return ratelimit_flush(rl, now, interval, ret_n);
}
