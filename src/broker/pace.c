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

void pace_init(Pace *p) {
        *p = (Pace){ .gap = GAP_MAX };
}

bool pace_update(Pace *p, uint64_t n_accepted, usec_t now) {
        uint64_t n = n_accepted - p->n_accepted;

        if (n == 0)
                return p->is_quick;

        p->gap = (p->gap * (N_TURNS - 1) + MIN((now - p->at) / n, GAP_MAX)) / N_TURNS;
        p->n_accepted = n_accepted;
        p->at = now;

        if (p->gap > SLOW_USEC)
                p->is_quick = false;
        else if (p->gap < QUICK_USEC && now >= p->slow_until)
                p->is_quick = true;

        return p->is_quick;
}

void pace_slow_down(Pace *p, usec_t now) {
        p->is_quick = false;
        p->slow_until = now + SLOW_FOR_USEC;
}
