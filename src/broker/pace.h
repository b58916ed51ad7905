/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * How quickly clients come. On a busy machine wake-ups are most of what is left of a handoff, and a broker that is quicker
 * than all others has one for each client and one for its receipt. So where clients come quickly there are two economies:
 *
 * What workers answer is looked for in each turn, and wakes nobody: the next turn comes soon anyway.
 *
 * And where it serves no fewer clients, the broker takes a nap of 0.1 ms before each turn, and finds several at once, as
 * network cards do with their interrupts. Others have the processors to themselves meanwhile, so that it often serves
 * more. That depends on the machine, and on how many clients wait for each other, so both are tried in turn.
 */

#include "basic/macro.h"
#include "basic/time.h"

/* Nobody waits longer than this for the next turn: when it has passed, clients do not come quickly any more. */
#define PACE_TURN_USEC USEC_PER_MSEC

typedef enum PaceNaps {
        PACE_NO_NAPS,    /* clients do not come quickly, or they have shown to be of no use */
        PACE_TRY_NONE,
        PACE_TRY_NAPS,
        PACE_NAPS,
} PaceNaps;

typedef struct Pace {
        bool is_quick;
        uint64_t n_accepted;  /* when it was looked at last, */
        usec_t at;            /* then */
        usec_t gap;           /* between two clients, a moving average */
        usec_t slow_until;    /* it was too slow for its promise, and is not tried again before this */

        PaceNaps naps;
        usec_t naps_since;    /* it is like that, */
        usec_t naps_until;    /* and remains so */
        uint64_t n_before;    /* n_accepted when that began */
        double rate_without;  /* clients by us, in the last trial */
} Pace;

void pace_init(Pace *p);

/* For the end of each turn. Returns Pace.is_quick. */
bool pace_update(Pace *p, uint64_t n_accepted, usec_t now);

/* For the beginning of each turn. */
void pace_nap(const Pace *p);

/* No turn came in time. */
void pace_slow_down(Pace *p, usec_t now);
