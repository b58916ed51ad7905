/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The turns of the broker. What happens once a client is dispatched here, from an epoll of our own. sd-event has a turn only
 * when it has something to do, because one costs a third of a handoff. That is when its descriptor says so, or when a source
 * of it was changed since it has looked at them.
 *
 * poll(2) waits for both. sd-event's descriptor is not in our epoll, because epoll_ctl(2) takes a lock of the whole kernel for
 * an epoll instance inside another one (epnested_mutex): any user can hold that for ever, by an instance whose own lock a
 * page of FUSE holds. Where clients come quickly poll(2) is left out for up to 1 ms, because it costs as much as the rest.
 */

#include <limits.h>
#include <poll.h>
#include <sys/epoll.h>

#include "basic/error.h"
#include "broker/broker.h"
#include "broker/channel.h"
#include "broker/flush.h"
#include "broker/handover.h"
#include "broker/head.h"
#include "broker/judge.h"
#include "broker/listener.h"
#include "broker/park.h"
#include "broker/receipts.h"
#include "broker/refusal.h"

/* Events taken in one turn. */
#define BATCH_MAX 64

static void dispatch_client(Broker *b, Client *c, uint32_t events) {
        /* What it says now is for the next process, which finds it in the socket. */
        if (b->stopping && handover_takes(b, c))
                return;

        switch (c->state) {

        case CLIENT_HEAD:
                head_on_event(b, c, events);
                break;

        case CLIENT_PARKED:
                park_on_event(b, c, events);
                break;

        case CLIENT_FLUSHING:
                flush_on_event(b, c, events);
                break;

        case CLIENT_PENDING:
                receipts_on_event(&b->receipts, c);
                break;

        case CLIENT_REFUSED:
                refusal_on_event(b, c, events);
                break;

        case CLIENT_JUDGED:
                c->has_news = true;
                c->has_ended = c->has_ended || events & (EPOLLRDHUP | EPOLLHUP);
                break;

        case CLIENT_FREE:
        case CLIENT_NEW:
        case CLIENT_QUEUED:
                break; /* it was moved on by an event before this one in the batch */
        }
}

static void dispatch_listener(Listener *l) {
        if (l->is_on) /* or it was turned off by an event before this one */
                l->on_ready(l);
}

static void dispatch(Broker *b, const struct epoll_event *event) {
        uint64_t token = event->data.u64;
        Client *c;

        if (token == TOKEN_HELPER)
                judge_on_event(b);
        else if (token & TOKEN_CHANNEL)
                channel_on_event(b, (uint32_t) token);
        else if (token & TOKEN_LISTENER)
                dispatch_listener((Listener *) (uintptr_t) (token & ~TOKEN_LISTENER));
        else if ((c = client_by_token(&b->clients, token)))
                dispatch_client(b, c, event->events);
}

static int to_msec(usec_t timeout) {
        return timeout == USEC_INFINITY ? -1 : (int) MIN((timeout + USEC_PER_MSEC - 1) / USEC_PER_MSEC, (usec_t) INT_MAX);
}

static int transient_or(int error) {
        return errno_is_transient(error) || errno_is_resource(error) ? 0 : error;
}

static int take_events(Broker *b, struct epoll_event events[static BATCH_MAX]) {
        int n = epoll_wait(b->watch.epoll_fd, events, BATCH_MAX, 0);

        return n < 0 ? transient_or(-errno) : n;
}

/* Whether the wait can be left out for once: clients come so quickly that there are some by now. */
static bool is_busy(const Broker *b) {
        return b->pace.is_quick && b->now < b->watch.polled_at + PACE_TURN_USEC;
}

/*
 * Waits for events, of which *ret_n are ours, and sets the time of the turn. Returns whether there is any, of ours or of
 * sd-event's, or a negative errno: without this epoll the broker would be deaf.
 */
static int loop_wait(Broker *b, usec_t timeout, struct epoll_event events[static BATCH_MAX], int *ret_n) {
        struct pollfd fds[] = {
                { .fd = b->watch.epoll_fd, .events = POLLIN },
                { .fd = b->watch.sd_event_fd, .events = POLLIN },
        };
        int r;

        *ret_n = is_busy(b) ? take_events(b, events) : 0;
        if (*ret_n != 0) {
                b->now = usec_now();
                return *ret_n < 0 ? *ret_n : 1;
        }

        r = poll(fds, ELEMENTSOF(fds), to_msec(timeout));
        b->now = b->watch.polled_at = usec_now();
        if (r <= 0)
                return r < 0 ? transient_or(-errno) : 0;

        if (fds[1].revents != 0)
                watch_sd_event_changed(&b->watch);
        if (fds[0].revents != 0)
                *ret_n = take_events(b, events);

        return *ret_n < 0 ? *ret_n : 1;
}

/* Returns whether there was any event, or a negative errno. */
static int dispatch_ours(Broker *b, usec_t timeout) {
        struct epoll_event events[BATCH_MAX];
        int r, n;

        if (timeout > 0)
                pace_nap(&b->pace);

        /* Where receipts are no events, the next turn comes soon all the same. */
        if (b->receipts.by_turns && receipts_any(&b->receipts))
                timeout = MIN(timeout, PACE_TURN_USEC);

        r = loop_wait(b, timeout, events, &n);
        if (r < 0)
                return r;

        for (int i = 0; i < n; i++)
                dispatch(b, &events[i]);
        if (b->receipts.by_turns) {
                channels_flush(b);
                receipts_turn(&b->receipts);
        }
        broker_finish_turn(b);

        if (r == 0 && timeout > 0)
                pace_slow_down(&b->pace, b->now);
        receipts_watch(&b->receipts, pace_update(&b->pace, b->n.n_accepted, b->now));
        return r;
}

/*
 * Has sd-event look at its sources, where that is due: it sets its timerfd, and after that its descriptor tells of
 * everything. Returns 1 where a source is to be dispatched now, 0 where none is, or a negative errno.
 */
static int prepare_sd_event(Broker *b) {
        int r = 0;

        if (b->watch.is_prepared)
                return 0;

        if (sd_event_get_state(b->event) == SD_EVENT_ARMED)
                r = sd_event_wait(b->event, 0);
        if (r == 0)
                r = sd_event_prepare(b->event);

        b->watch.is_prepared = r == 0;
        return r;
}

int broker_turn(Broker *b, usec_t timeout) {
        int is_pending, n;

        is_pending = prepare_sd_event(b);
        if (is_pending < 0)
                return is_pending;

        n = dispatch_ours(b, is_pending ? 0 : timeout);
        if (n < 0)
                return n;

        if (is_pending) {
                int r = sd_event_dispatch(b->event); /* the most urgent one */

                if (r < 0)
                        return r;
                broker_finish_turn(b);
        }

        helper_turn(b->helper);
        if (b->on_turn)
                b->on_turn(b->on_turn_userdata);
        if (b->stopping)
                broker_stop_if_settled(b);
        return n + is_pending;
}

int broker_run(Broker *b) {
        int r;

        while (sd_event_get_state(b->event) != SD_EVENT_FINISHED) {
                r = broker_turn(b, USEC_INFINITY);
                if (r < 0)
                        return r;
        }

        return sd_event_get_exit_code(b->event, &r) < 0 ? 0 : r;
}

