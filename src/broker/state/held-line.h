/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A log line that is written at most once in an interval. Events in between are counted. The line with their count is held back
 * until the interval is over: then diag.c writes it, also if no other event came.
 */

#include "basic/list.h"
#include "basic/ratelimit.h"

typedef struct Diag Diag;

typedef struct HeldLine {
        RateLimit limit;
        List link;            /* Diag.held, while the line is held back */
        void (*write)(Diag *d, void *subject, uint64_t n); /* writes it for @n events */
        void *subject;        /* what it is about; borrowed */
} HeldLine;

static inline void held_line_init(HeldLine *line) {
        *line = (HeldLine){};
        list_init(&line->link);
}

/* Its subject ends: the line is not written any more. */
static inline void held_line_done(HeldLine *line) {
        list_remove(&line->link);
}
