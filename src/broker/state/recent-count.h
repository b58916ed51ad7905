/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Counts events of the last minutes in two windows: the present one and the one before it. */

#include "basic/macro.h"
#include "basic/time.h"

/* Length of a window. recent_count() has all events of this time, and none that is twice as old. */
#define RECENT_USEC (5 * 60 * USEC_PER_SEC)

typedef struct RecentCount {
        usec_t begun_at;   /* begin of the present window; on the clock of recent_count_add() */
        uint64_t n;        /* events in the present window */
        uint64_t n_before; /* events in the window before it */
} RecentCount;

static inline void recent_count_add(RecentCount *c, usec_t now) {
        if (now - c->begun_at >= RECENT_USEC)
                *c = (RecentCount){ .begun_at = now, .n_before = now - c->begun_at < 2 * RECENT_USEC ? c->n : 0 };
        c->n++;
}

/* Returns the number of events in the last 5 to 10 minutes. */
static inline uint64_t recent_count(const RecentCount *c, usec_t now) {
        usec_t age = now - c->begun_at;

        return age < RECENT_USEC ? c->n + c->n_before : age < 2 * RECENT_USEC ? c->n : 0;
}
