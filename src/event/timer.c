/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "event/timer.h"

static int timer_on_time(sd_event_source *source, uint64_t usec, void *userdata) {
        Timer *t = userdata;

        t->at = USEC_INFINITY;
        t->handler(t->userdata);
        return 0;
}

int timer_init(Timer *t, Loop *loop, TimerHandler handler, void *userdata) {
        int r;

        *t = (Timer){ .loop = loop, .at = USEC_INFINITY, .handler = handler, .userdata = userdata };

        r = sd_event_add_time(loop->event, &t->source, CLOCK_MONOTONIC, 0, USEC_PER_MSEC, timer_on_time, t);
        if (r < 0)
                return r;

        return sd_event_source_set_enabled(t->source, SD_EVENT_OFF);
}

void timer_done(Timer *t) {
        t->source = sd_event_source_disable_unref(t->source);
        t->at = USEC_INFINITY;
}

void timer_set(Timer *t, usec_t at) {
        if (at >= t->at)
                return;

        t->at = at;
        (void) sd_event_source_set_time(t->source, at);
        (void) sd_event_source_set_enabled(t->source, SD_EVENT_ONESHOT);
        loop_sd_event_changed(t->loop);
}

void timer_off(Timer *t) {
        t->at = USEC_INFINITY;
        (void) sd_event_source_set_enabled(t->source, SD_EVENT_OFF);
}
