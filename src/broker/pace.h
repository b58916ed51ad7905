/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * How quickly clients come. Where that is so quick that the broker has a turn soon anyway, what workers answer is looked
 * for in each turn, and wakes nobody: on a busy machine wake-ups are most of what is left of a handoff.
 */

#include "basic/macro.h"
#include "basic/time.h"

/* Nobody waits longer than this for the next turn: when it has passed, clients do not come quickly any more. */
#define PACE_TURN_USEC USEC_PER_MSEC

typedef struct Pace {
        uint64_t n_accepted;  /* when it was looked at last, */
        usec_t at;            /* then */
        usec_t gap;           /* between two clients, a moving average */
        usec_t slow_until;    /* it was too slow for its promise, and is not tried again before this */
        bool is_quick;
} Pace;

void pace_init(Pace *p);

/* For each turn. Returns Pace.is_quick. */
bool pace_update(Pace *p, uint64_t n_accepted, usec_t now);

/* No turn came in time. */
void pace_slow_down(Pace *p, usec_t now);
