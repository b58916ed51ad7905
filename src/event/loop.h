/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The event loop. An epoll instance of our own reports the events of each client: listeners, receipts, bytes of a
 * client. sd-event reports all other events: timers, signals, the control interface. An iteration of sd-event costs a
 * third of a handoff. So sd-event runs only if its descriptor is readable, or if a call has changed one of its sources.
 *
 * poll(2) waits for both descriptors. sd-event's descriptor is not in our epoll instance. The reason is epoll_ctl(2):
 * for an epoll instance inside another one it takes a lock of the whole kernel (epnested_mutex in fs/eventpoll.c). Any
 * user could hold that lock for ever, because epoll_ctl(2) then waits for the lock of the inner instance, which a page
 * of FUSE can hold.
 */

#include <sys/epoll.h>
#include <systemd/sd-event.h>

#include "basic/time.h"
#include "event/poll-mode.h"

/* Largest number of events of our own in one turn. */
#define LOOP_BATCH_MAX 64

typedef struct Loop {
        sd_event *event;    /* one reference */
        int epoll_fd;
        int sd_event_fd;    /* sd_event_get_fd(3); borrowed */
        bool is_prepared;   /* sd_event_prepare(3) was called, and no source has changed since */
        usec_t polled_at;   /* time of the last poll(2), CLOCK_MONOTONIC */
        usec_t now;         /* start of this turn, CLOCK_MONOTONIC; 0: no turn yet */
        PollMode poll_mode;
} Loop;

/*
 * Initialises @loop and takes a reference to @event. Returns 0 or a negative errno. In both cases loop_done() is to be
 * called.
 */
int loop_init(Loop *loop, sd_event *event);
void loop_done(Loop *loop);

/* Returns the time of this turn, CLOCK_MONOTONIC. It does not change within a turn. */
static inline usec_t loop_now(const Loop *loop) {
        return loop->now ?: usec_now();
}

/*
 * To be called after a change that sd-event's descriptor does not report, because only sd_event_prepare(3) looks for
 * it. Such a change is: a timer (timer.h calls this), a source without a descriptor, a message in sd-bus's queue,
 * sd_event_exit(3). Handlers of sd-event need not call it.
 */
static inline void loop_sd_event_changed(Loop *loop) {
        loop->is_prepared = false;
}

/*
 * Lets sd-event look at its sources if one may have changed. Returns 1 if loop_dispatch_sd_event() is to be called, 0
 * if no source has an event, or a negative errno.
 */
int loop_prepare(Loop *loop);

/* Calls the handler of sd-event's source with the highest priority. Returns 0 or a negative errno. */
int loop_dispatch_sd_event(Loop *loop);

/*
 * Waits for events, at most for @timeout (USEC_INFINITY: without limit), and sets the time of the turn. Puts events of
 * our own into @events and their number into *ret_n. Returns 1 if there was an event, also one of sd-event, 0 if there
 * was none, or a negative errno.
 */
int loop_wait(Loop *loop, usec_t timeout, struct epoll_event events[static LOOP_BATCH_MAX], int *ret_n);
