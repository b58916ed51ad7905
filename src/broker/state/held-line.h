/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A log line that is written at most once in an interval. Events in between are counted, and the line with their number
 * is held back. diag.c writes it when the interval is over, even if no other event comes.
 */

#include "basic/list.h"
#include "basic/ratelimit.h"

/* The interval that held_line_init() sets. */
#define HELD_LINE_USEC (10 * USEC_PER_SEC)

typedef struct Diag Diag;

typedef struct HeldLine {
        RateLimit limit;
        usec_t interval;      /* shortest time between two lines */
        List link;            /* Diag.held, while the line is held back */
        void (*write)(Diag *d, void *subject, uint64_t n); /* writes the line for @n events */
        void *subject;        /* object that the line is about; borrowed */
} HeldLine;

static inline void held_line_init(HeldLine *line) {
        *line = (HeldLine){ .interval = HELD_LINE_USEC };
        list_init(&line->link);
}

/* Drops the line, because its subject ends. */
static inline void held_line_done(HeldLine *line) {
        list_remove(&line->link);
}
