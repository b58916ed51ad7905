/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Timers of the broker, on sd-event's. They are for lists in which the earliest deadline is in front: one timer for all
 * of a list, which is set for the first of them and finds out by itself who is due. So an earlier wake-up than needed is
 * harmless, and setting a timer that is on already costs nothing.
 */

#include <systemd/sd-event.h>

#include "basic/macro.h"
#include "basic/time.h"

typedef struct Broker Broker;

typedef void (*TimerHandler)(void *userdata);

typedef struct Timer {
        Broker *broker;
        sd_event_source *source;
        usec_t at;             /* USEC_INFINITY: off */
        TimerHandler handler;  /* the timer is off when it is called */
        void *userdata;
} Timer;

/* It is off at first, and stays where it is in memory. Its accuracy is 1 ms: sd-event's own 250 are for what nobody waits for. */
int timer_init(Timer *t, Broker *b, TimerHandler handler, void *userdata);
void timer_done(Timer *t);

/* On at the latest at @at, of CLOCK_MONOTONIC: does nothing where it is on for an earlier time. */
void timer_set(Timer *t, usec_t at);

void timer_off(Timer *t);

static inline bool timer_is_on(const Timer *t) {
        return t->at != USEC_INFINITY;
}
