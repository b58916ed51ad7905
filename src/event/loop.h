/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The event loop. One epoll instance of our own reports what happens for each client: listeners, receipts, bytes of a client.
 * sd-event reports the rest: timers, signals, the control interface. An iteration of sd-event costs a third of a handoff, so
 * sd-event runs only when its descriptor is readable, or when a source of it was changed by a call.
 *
 * poll(2) waits for both descriptors. sd-event's descriptor is not in our epoll instance, because epoll_ctl(2) takes a lock of
 * the whole kernel for an epoll instance inside another one (epnested_mutex). Any user can hold that lock for ever, by an epoll
 * instance whose own lock a page of FUSE holds.
 */

#include <sys/epoll.h>
#include <systemd/sd-event.h>

#include "basic/time.h"
#include "event/poll-mode.h"

/* Events of one turn. */
#define LOOP_BATCH_MAX 64

typedef struct Loop {
        sd_event *event;    /* one reference */
        int epoll_fd;
        int sd_event_fd;    /* sd_event_get_fd(3), not ours to close */
        bool is_prepared;   /* sd_event_prepare(3) was called, and no source was changed since */
        usec_t polled_at;   /* last poll(2), CLOCK_MONOTONIC */
        usec_t now;         /* start of this turn, CLOCK_MONOTONIC; 0: no turn yet */
        PollMode poll_mode;
} Loop;

/* Takes a reference to @event. Returns 0 or a negative errno; loop_done() is to be called in both cases. */
int loop_init(Loop *loop, sd_event *event);
void loop_done(Loop *loop);

/* The time of this turn. It stands still within a turn. */
static inline usec_t loop_now(const Loop *loop) {
        return loop->now ?: usec_now();
}

/*
 * To be called after a change that sd-event notices by sd_event_prepare(3) only, outside of its own handlers: a timer (timer.h
 * calls it), a source without a descriptor, a message in sd-bus's queue, sd_event_exit(3). It notices a descriptor by itself.
 */
static inline void loop_sd_event_changed(Loop *loop) {
        loop->is_prepared = false;
}

/*
 * Lets sd-event look at its sources if that is due. Returns 1 if a source is to be dispatched by loop_dispatch_sd_event(), 0 if
 * none is, or a negative errno.
 */
int loop_prepare(Loop *loop);

/* Dispatches the most urgent source of sd-event. Returns 0 or a negative errno. */
int loop_dispatch_sd_event(Loop *loop);

/*
 * Waits up to @timeout (USEC_INFINITY: for ever) for events, and sets the time of the turn. *ret_n events of our own are in
 * @events. Returns 1 if there was any event, also of sd-event's, 0 if there was none, or a negative errno.
 */
int loop_wait(Loop *loop, usec_t timeout, struct epoll_event events[static LOOP_BATCH_MAX], int *ret_n);
