/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Poll mode saves wake-ups while clients come quickly. On a busy machine wake-ups are most of what a handoff costs
 * beside its system calls. There are two of them: one for the client, and one for its receipt. Poll mode does two
 * things.
 *
 * Receipts are polled. The broker looks for receipts in each turn and does not wait for an event, because the next turn
 * comes soon.
 *
 * Events are coalesced, as network cards do with interrupts. The broker sleeps 0.1 ms before each turn. Then it finds
 * several clients at once, and other processes have the CPU meanwhile. On some machines that serves more clients, on
 * others fewer. So the broker tries both ways in turn, and keeps to the better one for 250 ms.
 */

#include "basic/macro.h"
#include "basic/time.h"

/* Longest time between two turns in poll mode. A longer one ends poll mode. */
#define POLL_MODE_TURN_USEC USEC_PER_MSEC

typedef enum Coalescing {
        COALESCE_NO,
        COALESCE_TRY_WITHOUT,
        COALESCE_TRY_WITH,
        COALESCE_YES,
} Coalescing;

typedef struct PollMode {
        bool is_busy;           /* poll mode is on */
        uint64_t n_accepted;    /* clients accepted up to @at */
        usec_t at;              /* time of the last update with a new client, CLOCK_MONOTONIC */
        usec_t gap;             /* time between two clients, a moving average */
        usec_t slow_until;      /* end of the time for which poll mode stays off, because a turn came too late */

        Coalescing coalescing;
        usec_t trial_since;     /* start of what @coalescing says */
        usec_t trial_until;     /* end of what @coalescing says */
        uint64_t n_before;      /* @n_accepted at @trial_since */
        double rate_without;    /* clients per microsecond in the last trial without coalescing */
} PollMode;

void poll_mode_init(PollMode *p);

/* To be called at the end of each turn. @n_accepted is the number of all clients so far. Returns PollMode.is_busy. */
bool poll_mode_update(PollMode *p, uint64_t n_accepted, usec_t now);

/* To be called before a turn that may wait. Sleeps 0.1 ms if events are coalesced. */
void poll_mode_coalesce(const PollMode *p);

/* Ends poll mode, and keeps it off for 100 ms, because no event came in time. */
void poll_mode_slow_down(PollMode *p, usec_t now);
