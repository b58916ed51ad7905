/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "event/loop.h"

#include <limits.h>
#include <poll.h>
#include <unistd.h>

#include "basic/error.h"
#include "basic/fd.h"

int loop_init(Loop *loop, sd_event *event) {
        *loop = (Loop){
                .event = sd_event_ref(event),
                .sd_event_fd = sd_event_get_fd(event),
                .epoll_fd = epoll_create1(EPOLL_CLOEXEC),
        };
        poll_mode_init(&loop->poll_mode);

        return loop->epoll_fd < 0 ? -errno : 0;
}

void loop_done(Loop *loop) {
        loop->epoll_fd = fd_close(loop->epoll_fd);
        loop->event = sd_event_unref(loop->event);
}

int loop_prepare(Loop *loop) {
        int r = 0;

        if (loop->is_prepared)
                return 0;

        if (sd_event_get_state(loop->event) == SD_EVENT_ARMED)
                r = sd_event_wait(loop->event, 0);
        if (r == 0)
                r = sd_event_prepare(loop->event);

        loop->is_prepared = r == 0;
        return r;
}

int loop_dispatch_sd_event(Loop *loop) {
        int r = sd_event_dispatch(loop->event);

        return r < 0 ? r : 0;
}

static int loop_to_msec(usec_t timeout) {
        return timeout == USEC_INFINITY ? -1 : (int) MIN((timeout + USEC_PER_MSEC - 1) / USEC_PER_MSEC, (usec_t) INT_MAX);
}

/* Returns 0 for an error that goes by, and @error otherwise. The next turn waits again. */
static int loop_error(int error) {
        return errno_is_transient(error) || errno_is_resource(error) ? 0 : error;
}

static int loop_take_events(Loop *loop, struct epoll_event events[static LOOP_BATCH_MAX]) {
        int n = epoll_wait(loop->epoll_fd, events, LOOP_BATCH_MAX, 0);

        return n < 0 ? loop_error(-errno) : n;
}

/*
 * True if poll(2) can be left out. In poll mode clients come so quickly that some are most likely there. The time limit
 * lets sd-event's descriptor be looked at.
 */
static bool loop_may_skip_poll(const Loop *loop) {
        return loop->poll_mode.is_busy && loop->now < loop->polled_at + POLL_MODE_TURN_USEC;
}

int loop_wait(Loop *loop, usec_t timeout, struct epoll_event events[static LOOP_BATCH_MAX], int *ret_n) {
        struct pollfd fds[] = {
                { .fd = loop->epoll_fd, .events = POLLIN },
                { .fd = loop->sd_event_fd, .events = POLLIN },
        };
        int r;

        *ret_n = loop_may_skip_poll(loop) ? loop_take_events(loop, events) : 0;
        if (*ret_n != 0) {
                loop->now = usec_now();
                return *ret_n < 0 ? *ret_n : 1;
        }

        r = poll(fds, ELEMENTSOF(fds), loop_to_msec(timeout));
        loop->now = loop->polled_at = usec_now();
        if (r <= 0)
                return r < 0 ? loop_error(-errno) : 0;

        if (fds[1].revents != 0)
                loop_sd_event_changed(loop);
        if (fds[0].revents != 0)
                *ret_n = loop_take_events(loop, events);

        return *ret_n < 0 ? *ret_n : 1;
}
