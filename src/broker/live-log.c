/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/live-log.h"

/* Time after which the journal is tried again. */
#define AGAIN_USEC (5 * USEC_PER_MSEC)

static void live_log_take_first(LiveLog *log) {
        connection_route_put(log->ends[log->first].route);
        log->first = (log->first + 1) % LIVE_LOG_MAX;
        log->n--;
}

static void live_log_on_timer(void *userdata) {
        LiveLog *log = userdata;

        while (log->n > 0 && diag_connection_ended(log->diag, &log->ends[log->first], /* is_last= */ false))
                live_log_take_first(log);

        if (log->n > 0)
                timer_set(&log->timer, usec_add(loop_now(log->diag->loop), AGAIN_USEC));
}

int live_log_init(LiveLog *log, const Diag *diag, Loop *loop) {
        *log = (LiveLog){ .diag = diag };
        return timer_init(&log->timer, loop, live_log_on_timer, log);
}

void live_log_done(LiveLog *log) {
        while (log->n > 0) {
                (void) diag_connection_ended(log->diag, &log->ends[log->first], /* is_last= */ true);
                live_log_take_first(log);
        }

        free(TAKE_PTR(log->ends));
        timer_done(&log->timer);
}

/* Has the line wait. Returns false if there is no room. */
static bool live_log_hold(LiveLog *log, const ConnectionEnd *end) {
        if (!log->ends)
                log->ends = calloc(LIVE_LOG_MAX, sizeof(*log->ends));
        if (!log->ends || log->n == LIVE_LOG_MAX)
                return false;

        log->ends[(log->first + log->n++) % LIVE_LOG_MAX] = *end;
        timer_set(&log->timer, usec_add(loop_now(log->diag->loop), AGAIN_USEC));
        return true;
}

void live_log_add(LiveLog *log, const ConnectionEnd *end) {
        /* Lines stay in their order. */
        bool is_written = log->n == 0 && diag_connection_ended(log->diag, end, /* is_last= */ false);

        if (!is_written && live_log_hold(log, end))
                return;

        if (!is_written)
                (void) diag_connection_ended(log->diag, end, /* is_last= */ true);
        connection_route_put(end->route);
}
