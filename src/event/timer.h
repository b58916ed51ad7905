/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A timer on CLOCK_MONOTONIC. It serves a list that is sorted by deadlines. The handler looks itself for what is due.
 * So a wake-up that comes too early does no harm, and timer_set() need not move the timer to a later time.
 */

#include <systemd/sd-event.h>

#include "basic/macro.h"
#include "basic/time.h"
#include "event/loop.h"

typedef void (*TimerHandler)(void *userdata);

typedef struct Timer {
        Loop *loop;
        sd_event_source *source;
        usec_t at;             /* CLOCK_MONOTONIC; USEC_INFINITY: the timer is off */
        TimerHandler handler;  /* is called with the timer off */
        void *userdata;
} Timer;

/*
 * Makes a timer that is off. @t must not move in memory, and borrows @loop. Its accuracy is 1 ms, because sd-event's
 * default of 250 ms is too coarse for a client that waits. Returns 0 or a negative errno.
 */
int timer_init(Timer *t, Loop *loop, TimerHandler handler, void *userdata);
void timer_done(Timer *t);

/* Turns the timer on for @at (CLOCK_MONOTONIC). Does nothing if the timer is on for an earlier time. */
void timer_set(Timer *t, usec_t at);

void timer_off(Timer *t);

static inline bool timer_is_on(const Timer *t) {
        return t->at != USEC_INFINITY;
}
