/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/dispatch.h"

#include "broker/arrival.h"
#include "broker/delivery.h"
#include "broker/handback.h"
#include "broker/departure.h"
#include "broker/handover.h"
#include "broker/live.h"
#include "broker/settlement.h"
#include "broker/state/watch.h"
#include "broker/stop.h"

static void dispatch_client(Broker *b, Client *c, uint32_t events) {
        /* The bytes of this client are for the next process, which finds them in the socket. */
        if (broker_is_stopping(b) && handover_takes(b, c))
                return;

        switch (c->state) {

        case CLIENT_HEAD:
                arrival_on_head_event(b, c, events);
                break;

        case CLIENT_PARKED:
                arrival_on_park_event(b, c, events);
                break;

        case CLIENT_FLUSHING:
                delivery_on_flush_event(b, c, events);
                break;

        case CLIENT_PENDING:
                settlement_on_event(b, c);
                break;

        case CLIENT_REFUSED:
                departure_on_event(b, c, events);
                break;

        case CLIENT_INSPECTED:
                c->inspect.has_news = true;
                c->has_ended = c->has_ended || events & (EPOLLRDHUP | EPOLLHUP);
                break;

        case CLIENT_FREE:
        case CLIENT_NEW:
        case CLIENT_QUEUED:
                break; /* an earlier event of this turn moved the client */
        }
}

static void dispatch_listener(Listener *l) {
        if (l->is_on) /* an earlier event of this turn may have turned it off */
                l->on_ready(l, l->userdata);
}

static bool dispatch_is_listener(uint64_t token) {
        return (token & (TOKEN_LISTENER | TOKEN_PERSISTENT)) == TOKEN_LISTENER;
}

static void dispatch_event(Broker *b, const struct epoll_event *event) {
        uint64_t token = event->data.u64;
        Client *c;

        if (token == TOKEN_HELPER)
                inspect_on_event(&b->inspect);
        else if (token == TOKEN_CONNECTIONS)
                live_on_event(b);
        else if (token & TOKEN_PERSISTENT)
                persistent_on_event(&b->persistent, (uint32_t) token);
        else if (token & TOKEN_RETURN)
                handback_on_event((ReturnConn *) (uintptr_t) (token & ~TOKEN_RETURN));
        else if ((c = client_by_token(&b->clients, token)))
                dispatch_client(b, c, event->events);
}

/*
 * Handles the events. Those of listeners come last, because receipts free places of the broker and of sources for new
 * clients.
 */
static void dispatch_events(Broker *b, const struct epoll_event *events, int n) {
        int n_listeners = 0;

        for (int i = 0; i < n; i++)
                if (dispatch_is_listener(events[i].data.u64))
                        n_listeners++;
                else
                        dispatch_event(b, &events[i]);

        for (int i = 0; n_listeners > 0; i++)
                if (dispatch_is_listener(events[i].data.u64)) {
                        dispatch_listener((Listener *) (uintptr_t) (events[i].data.u64 & ~TOKEN_LISTENER));
                        n_listeners--;
                }
}

static void dispatch_reap_routing(Broker *b, Routing *routing) {
        for (size_t i = 0; i < routing->n_pools; i++)
                diag_write_held_of_pool(&b->diag, &routing->pools[i]);
        routing_free(routing);
}

void dispatch_reap(Broker *b) {
        List *retired = &b->generations.retired, *unused = &b->workers.unused;

        persistent_reap(&b->persistent);
        for (List *l; (l = list_first(retired));)
                dispatch_reap_routing(b, CONTAINER_OF(l, Routing, link));
        for (List *l; (l = list_first(unused));) {
                Worker *w = CONTAINER_OF(l, Worker, unused_link);

                persistent_close_all(w);
                worker_table_remove(&b->workers, w);
        }
}

/*
 * Settles the consequences of the events. Each step may make work for another one, so the steps are repeated. This
 * ends: a persistent connection that failed gets no more clients, and a worker that failed gets none before a later
 * turn.
 */
static void dispatch_finish_turn(Broker *b) {
        while (!list_is_empty(&b->persistent.to_send) || !list_is_empty(&b->persistent.settled) ||
               !list_is_empty(&b->workers.to_serve) || inspect_is_due(&b->inspect)) {
                persistent_send_all(&b->persistent);
                settlement_settle_persistent(b);
                if (inspect_is_due(&b->inspect))
                        inspect_run(&b->inspect);
                delivery_serve(b);
        }

        if (!list_is_empty(&b->ways_back.waiting))
                handback_take_ways(b);

        if (!list_is_empty(&b->persistent.ended) || !list_is_empty(&b->generations.retired) ||
            !list_is_empty(&b->workers.unused))
                dispatch_reap(b);
}

/*
 * Waits for events of our own and handles them. Returns their number, 1 for an event of sd-event, or a negative errno.
 */
static int dispatch_own(Broker *b, usec_t timeout) {
        struct epoll_event events[LOOP_BATCH_MAX];
        PollMode *poll_mode = &b->loop.poll_mode;
        int r, n;

        if (timeout > 0)
                poll_mode_coalesce(poll_mode);

        /* Polled receipts are found in the next turn only, so that must come soon. */
        if (b->receipts.is_polled && receipts_any(&b->receipts))
                timeout = MIN(timeout, POLL_MODE_TURN_USEC);

        r = loop_wait(&b->loop, timeout, events, &n);
        if (r < 0)
                return r;

        dispatch_events(b, events, n);
        if (live_has_reports(b))
                live_turn(b);
        if (b->receipts.is_polled) {
                persistent_send_all(&b->persistent);
                settlement_poll(b);
        }
        dispatch_finish_turn(b);

        if (r == 0 && timeout > 0)
                poll_mode_slow_down(poll_mode, b->loop.now);
        settlement_set_polled(b, poll_mode_update(poll_mode, b->n.n_accepted, b->loop.now));
        return r;
}

int dispatch_turn(Broker *b, usec_t timeout) {
        int is_pending, n, r;

        is_pending = loop_prepare(&b->loop);
        if (is_pending < 0)
                return is_pending;

        if (live_has_reports(b))
                timeout = MIN(timeout, live_is_due(b));

        n = dispatch_own(b, is_pending ? 0 : MIN(timeout, helper_is_due(b->helper)));
        if (n < 0)
                return n;

        if (is_pending) {
                r = loop_dispatch_sd_event(&b->loop);
                if (r < 0)
                        return r;
                dispatch_finish_turn(b);
        }

        helper_turn(b->helper);
        if (b->on_turn)
                b->on_turn(b->on_turn_userdata);
        stop_go_on(b);
        return n + is_pending;
}

int dispatch_run(Broker *b) {
        int r;

        while (sd_event_get_state(b->loop.event) != SD_EVENT_FINISHED) {
                r = dispatch_turn(b, USEC_INFINITY);
                if (r < 0)
                        return r;
        }

        return sd_event_get_exit_code(b->loop.event, &r) < 0 ? 0 : r;
}
