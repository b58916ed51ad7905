/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "event/poll-mode.h"

/* Average time between two clients. Below the first poll mode begins, above the second it ends. */
#define BUSY_USEC ((usec_t) 80)
#define QUIET_USEC ((usec_t) 160)

/* A longer gap counts as this one. It is so long that the first client after a pause ends poll mode. */
#define GAP_MAX (10 * USEC_PER_MSEC)

/* The average is a moving one over so many turns with clients. */
#define N_TURNS 8

#define SLOW_FOR_USEC (100 * USEC_PER_MSEC)

/* Length of the sleep that is asked for. The kernel makes 0.1 ms of it (prctl(2), PR_SET_TIMERSLACK). */
#define COALESCE_USEC 50

/* Clients with a longer average gap are not coalesced, because a sleep would collect too few of them. */
#define COALESCE_GAP_USEC ((usec_t) 60)

/* Length of one trial, and the time for which its result holds. */
#define TRIAL_USEC (10 * USEC_PER_MSEC)
#define RESULT_USEC (250 * USEC_PER_MSEC)

/*
 * Coalescing goes on if its rate is at least this share of the rate without it. Two equal trials differ by up to 5 %.
 */
#define RATE_MIN 0.95

void poll_mode_init(PollMode *p) {
        *p = (PollMode){ .gap = GAP_MAX };
}

void poll_mode_coalesce(const PollMode *p) {
        const struct timespec span = { .tv_nsec = COALESCE_USEC * 1000 };

        if (p->coalescing == COALESCE_YES || p->coalescing == COALESCE_TRY_WITH)
                (void) nanosleep(&span, NULL); /* a signal ends it early, which does no harm */
}

static void poll_mode_begin(PollMode *p, Coalescing coalescing, usec_t now, usec_t span) {
        p->coalescing = coalescing;
        p->trial_since = now;
        p->trial_until = now + span;
        p->n_before = p->n_accepted;
}

static void poll_mode_next_trial(PollMode *p, usec_t now) {
        double rate;

        if (now < p->trial_until)
                return;

        rate = (double) (p->n_accepted - p->n_before) / (double) (now - p->trial_since);

        switch (p->coalescing) {

        case COALESCE_NO:
        case COALESCE_YES:
                if (p->gap <= COALESCE_GAP_USEC)
                        poll_mode_begin(p, COALESCE_TRY_WITHOUT, now, TRIAL_USEC);
                else
                        p->coalescing = COALESCE_NO;
                break;

        case COALESCE_TRY_WITHOUT:
                p->rate_without = rate;
                poll_mode_begin(p, COALESCE_TRY_WITH, now, TRIAL_USEC);
                break;

        case COALESCE_TRY_WITH:
                poll_mode_begin(p, rate >= p->rate_without * RATE_MIN ? COALESCE_YES : COALESCE_NO, now, RESULT_USEC);
                break;
        }
}

static void poll_mode_end(PollMode *p) {
        p->is_busy = false;
        p->coalescing = COALESCE_NO;
        p->trial_until = 0;
}

bool poll_mode_update(PollMode *p, uint64_t n_accepted, usec_t now) {
        uint64_t n = n_accepted - p->n_accepted;

        if (n == 0) { /* no client came in this turn */
                if (p->is_busy && now - p->at > GAP_MAX)
                        poll_mode_end(p);
                return p->is_busy;
        }

        p->gap = (p->gap * (N_TURNS - 1) + MIN((now - p->at) / n, GAP_MAX)) / N_TURNS;
        p->n_accepted = n_accepted;
        p->at = now;

        if (p->gap > QUIET_USEC)
                poll_mode_end(p);
        else if (p->gap < BUSY_USEC && now >= p->slow_until)
                p->is_busy = true;

        if (p->is_busy)
                poll_mode_next_trial(p, now);

        return p->is_busy;
}

void poll_mode_slow_down(PollMode *p, usec_t now) {
        poll_mode_end(p);
        p->slow_until = now + SLOW_FOR_USEC;
}
