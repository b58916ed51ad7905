/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Counts time spans by powers of two. */

#include "basic/macro.h"
#include "basic/time.h"

/* Bucket i has spans up to HISTOGRAM_FIRST_USEC << i; the last one has all longer ones too. */
#define HISTOGRAM_FIRST_USEC ((usec_t) 64)
#define HISTOGRAM_BUCKETS 22 /* 64 µs … 67 s, and longer */

typedef struct Histogram {
        uint64_t n[HISTOGRAM_BUCKETS];
        usec_t sum;
} Histogram;

static inline void histogram_add(Histogram *h, usec_t span) {
        size_t i = 0;

        if (span > HISTOGRAM_FIRST_USEC)
                i = 64 - (size_t) __builtin_clzll((span - 1) / HISTOGRAM_FIRST_USEC);

        h->n[MIN(i, (size_t) HISTOGRAM_BUCKETS - 1)]++;
        h->sum += span;
}
