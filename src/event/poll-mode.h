/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Poll mode: how the broker saves wake-ups while clients come quickly. On a busy machine wake-ups are most of what a handoff
 * costs beside its system calls: one for the client, and one for its receipt. Two things save them.
 *
 * Receipts are polled. The broker looks for them in each turn instead of waiting for an event, because the next turn comes soon
 * anyway.
 *
 * Events are coalesced, as network cards do with interrupts. The broker sleeps 0.1 ms before each turn and then finds several
 * clients at once, while other processes have the CPU. On some machines that serves more clients, on others fewer. So both
 * ways are tried in turn, and the better one holds for a while.
 */

#include "basic/macro.h"
#include "basic/time.h"

/* Longest time between two turns in poll mode. After a longer one poll mode ends. */
#define POLL_MODE_TURN_USEC USEC_PER_MSEC

typedef enum Coalescing {
        COALESCE_NO,
        COALESCE_TRY_WITHOUT,
        COALESCE_TRY_WITH,
        COALESCE_YES,
} Coalescing;

typedef struct PollMode {
        bool is_busy;           /* poll mode is on */
        uint64_t n_accepted;    /* clients accepted so far, at the last update with a new one */
        usec_t at;              /* time of that update */
        usec_t gap;             /* time between two clients, a moving average */
        usec_t slow_until;      /* poll mode stays off until then, because a turn came too late */

        Coalescing coalescing;
        usec_t trial_since;     /* begin of what @coalescing says */
        usec_t trial_until;     /* end of it */
        uint64_t n_before;      /* @n_accepted at @trial_since */
        double rate_without;    /* clients a microsecond in the last trial without coalescing */
} PollMode;

void poll_mode_init(PollMode *p);

/* Is to be called at the end of each turn. @n_accepted only grows. Returns PollMode.is_busy. */
bool poll_mode_update(PollMode *p, uint64_t n_accepted, usec_t now);

/* Is to be called before a turn that may wait. Sleeps if events are coalesced. */
void poll_mode_coalesce(const PollMode *p);

/* Ends poll mode for 100 ms, because no event came in time. */
void poll_mode_slow_down(PollMode *p, usec_t now);
