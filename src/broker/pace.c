/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/pace.h"

/* Between two clients. A turn for each of them and one for its receipt is what it costs above that. */
#define QUICK_USEC ((usec_t) 80)
#define SLOW_USEC ((usec_t) 160)

/* Longer ones count like this: after a pause it is slow at once. */
#define GAP_MAX (10 * USEC_PER_MSEC)

/* The average is over so many turns with clients, or so. */
#define N_TURNS 8

#define SLOW_FOR_USEC (100 * USEC_PER_MSEC)

/* The kernel makes 0.1 ms of it (prctl(2), PR_SET_TIMERSLACK). For clients that are farther apart it gains too little. */
#define NAP_USEC 50
#define NAP_GAP_USEC ((usec_t) 60)

/* How long each way is tried, and how long what has won holds. */
#define TRIAL_USEC (10 * USEC_PER_MSEC)
#define TRIED_USEC (250 * USEC_PER_MSEC)

/* With naps may be so much slower: that is within what two trials of the same differ by. */
#define RATE_MIN 0.95

void pace_init(Pace *p) {
        *p = (Pace){ .gap = GAP_MAX };
}

void pace_nap(const Pace *p) {
        const struct timespec nap = { .tv_nsec = NAP_USEC * 1000 };

        if (p->naps == PACE_NAPS || p->naps == PACE_TRY_NAPS)
                (void) nanosleep(&nap, NULL); /* for a signal this is soon enough */
}

static void begin(Pace *p, PaceNaps naps, usec_t now, usec_t span) {
        p->naps = naps;
        p->naps_since = now;
        p->naps_until = now + span;
        p->n_before = p->n_accepted;
}

static void update_naps(Pace *p, usec_t now) {
        double rate;

        if (now < p->naps_until)
                return;

        rate = (double) (p->n_accepted - p->n_before) / (double) (now - p->naps_since);

        switch (p->naps) {

        case PACE_NO_NAPS:
        case PACE_NAPS:
                if (p->gap <= NAP_GAP_USEC)
                        begin(p, PACE_TRY_NONE, now, TRIAL_USEC);
                else
                        p->naps = PACE_NO_NAPS;
                break;

        case PACE_TRY_NONE:
                p->rate_without = rate;
                begin(p, PACE_TRY_NAPS, now, TRIAL_USEC);
                break;

        case PACE_TRY_NAPS:
                begin(p, rate >= p->rate_without * RATE_MIN ? PACE_NAPS : PACE_NO_NAPS, now, TRIED_USEC);
                break;
        }
}

static void be_slow(Pace *p) {
        p->is_quick = false;
        p->naps = PACE_NO_NAPS;
        p->naps_until = 0;
}

bool pace_update(Pace *p, uint64_t n_accepted, usec_t now) {
        uint64_t n = n_accepted - p->n_accepted;

        if (n == 0) { /* others may have turns */
                if (p->is_quick && now - p->at > GAP_MAX)
                        be_slow(p);
                return p->is_quick;
        }

        p->gap = (p->gap * (N_TURNS - 1) + MIN((now - p->at) / n, GAP_MAX)) / N_TURNS;
        p->n_accepted = n_accepted;
        p->at = now;

        if (p->gap > SLOW_USEC)
                be_slow(p);
        else if (p->gap < QUICK_USEC && now >= p->slow_until)
                p->is_quick = true;

        if (p->is_quick)
                update_naps(p, now);

        return p->is_quick;
}

void pace_slow_down(Pace *p, usec_t now) {
        be_slow(p);
        p->slow_until = now + SLOW_FOR_USEC;
}
