/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/stop.h"

#include "broker/admission.h"
#include "broker/arrival.h"
#include "broker/delivery.h"
#include "broker/departure.h"
#include "broker/handback.h"
#include "broker/handover.h"
#include "broker/live.h"
#include "broker/settlement.h"

/*
 * Time for receipts. Clients without one are then in backlogs of workers, which systemd holds. New clients wait
 * meanwhile in the backlog of the public socket, which may be full after some time.
 */
#define STOP_WAIT_USEC (1 * USEC_PER_SEC)

/* Time for the head of a client that can't be handed over. */
#define STOP_HEAD_USEC (500 * USEC_PER_MSEC)

/* Ends the phase of receipts, and hands clients over to the next process. */
static void stop_hand_over(Broker *b) {
        b->stop.phase = STOP_HANDOVER;
        (void) admission_enable_listeners(b); /* turning off never fails */
        handback_stop(b);

        if (b->clients.n_used > b->linger.n)
                handover_all(b);
}

static void stop_finish(Broker *b) {
        (void) sd_event_exit(b->loop.event, 0);
        loop_sd_event_changed(&b->loop);
}

void stop_go_on(Broker *b) {
        if (!broker_is_stopping(b))
                return;

        if (!receipts_any(&b->receipts))
                stop_hand_over(b);

        if (b->clients.n_used == 0)
                stop_finish(b);
}

void stop_begin(Broker *b) {
        if (broker_is_stopping(b))
                return;

        b->stop.phase = STOP_RECEIPTS;
        b->persistent.is_closing = true;
        b->generations.ignores_max_pending = true;
        (void) admission_enable_listeners(b);
        settlement_drop_expired(b);
        delivery_serve_all(b);

        timer_set(&b->stop.timer, usec_now() + STOP_HEAD_USEC);
        stop_go_on(b);
}

/* Ends what is left. At first only clients with an incomplete head are refused, and after 1 s all others. */
static void stop_on_timer(void *userdata) {
        Broker *b = userdata;

        stop_hand_over(b);
        arrival_refuse_all(b, REFUSAL_STOPPING);

        if (!b->stop.is_late) {
                b->stop.is_late = true;
                timer_set(&b->stop.timer, usec_now() + STOP_WAIT_USEC - STOP_HEAD_USEC);
                return;
        }

        delivery_refuse_all(b, REFUSAL_STOPPING);
        departure_end_flushes(b);
        diag_stopped(&b->diag, b->clients.n_used - b->linger.n);
        stop_finish(b);
}

/*
 * systemd drops what it keeps for a service that ends by itself. So a drained worker would get clients again, and live
 * connections would be forgotten.
 */
static bool stop_may_be_idle(const Broker *b) {
        for (size_t i = 0; i < b->workers.n_workers; i++)
                if (b->workers.workers[i]->is_drained)
                        return false;

        return b->clients.n_used == 0 && !live_any(b) && b->n.n_accepted == b->stop.idle_n_accepted;
}

/* Stops the broker if no client has come since the timer was set. So the timer need not be set for each client. */
static void stop_on_idle_timer(void *userdata) {
        Broker *b = userdata;

        if (stop_may_be_idle(b))
                stop_begin(b);
        else
                stop_watch_idle(b);
}

void stop_watch_idle(Broker *b) {
        usec_t span = b->routing->config->broker.exit_idle_usec;

        timer_off(&b->stop.idle_timer);
        if (span == 0 || span == USEC_INFINITY)
                return;

        b->stop.idle_n_accepted = b->n.n_accepted;
        timer_set(&b->stop.idle_timer, usec_add(usec_now(), span));
}

int stop_init(Broker *b) {
        int r;

        r = timer_init(&b->stop.timer, &b->loop, stop_on_timer, b);
        if (r < 0)
                return r;

        return timer_init(&b->stop.idle_timer, &b->loop, stop_on_idle_timer, b);
}

void stop_done(Stop *s) {
        timer_done(&s->timer);
        timer_done(&s->idle_timer);
}
