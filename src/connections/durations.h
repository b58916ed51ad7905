/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Counts the durations of connections by powers of two. They are longer than the spans of a Histogram. */

#include "basic/macro.h"
#include "basic/time.h"

/* Bucket i has durations up to CONNECTION_DURATION_FIRST << i; the last one has all longer ones too. */
#define CONNECTION_DURATION_FIRST USEC_PER_MSEC
#define CONNECTION_DURATION_BUCKETS 24 /* 1 ms … 2.3 hours, and longer */

typedef struct ConnectionDurations {
        uint64_t n[CONNECTION_DURATION_BUCKETS];
        usec_t sum;
} ConnectionDurations;

static inline void connection_durations_add(ConnectionDurations *d, usec_t span) {
        size_t i = 0;

        if (span > CONNECTION_DURATION_FIRST)
                i = 64 - (size_t) __builtin_clzll((span - 1) / CONNECTION_DURATION_FIRST);

        d->n[MIN(i, (size_t) CONNECTION_DURATION_BUCKETS - 1)]++;
        d->sum += span;
}
