/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/receipts.h"

#include "basic/fd.h"
#include "broker/broker.h"
#include "broker/channel.h"
#include "broker/diag.h"
#include "broker/observe.h"
#include "broker/pool.h"
#include "broker/refusal.h"
#include "broker/watch.h"

/*
 * A worker need not close the connection before it serves the client, and those written for
 * mod_proxy_fdpass often don't. This often the queue of an unclaimed handoff is looked into instead. Until
 * then such a client counts as unclaimed, and a FIN that its worker sends by close() is withheld. Whoever has waited for
 * long already is looked at less often, but is never kept for more than half as long again: thousands in the backlogs of
 * workers that hang would take a good part of a CPU otherwise.
 */
#define LOOK_INTERVAL_USEC (100 * USEC_PER_MSEC)

/* In each turn, of those who wait the longest: so many may have none yet. */
#define MISSES_MAX 4

/* A worker that takes no client for this long is worth a word: most likely its service does not come up. */
#define STUCK_USEC (10 * USEC_PER_SEC)

static void on_timer(void *userdata);

int receipts_init(Receipts *receipts, Broker *b) {
        receipts->broker = b;
        for (size_t i = 0; i < RECEIPTS_LEVELS; i++)
                list_init(&receipts->unclaimed[i]);
        list_init(&receipts->unwatched);
        return timer_init(&receipts->timer, b, on_timer, receipts);
}

void receipts_done(Receipts *receipts) {
        timer_done(&receipts->timer);
}

bool receipts_any(const Receipts *receipts) {
        for (size_t i = 0; i < RECEIPTS_LEVELS; i++)
                if (!list_is_empty(&receipts->unclaimed[i]))
                        return true;

        return false;
}

static void timer_arm(Receipts *receipts) {
        for (size_t i = 0; i < RECEIPTS_LEVELS; i++) {
                List *l = list_first(&receipts->unclaimed[i]);

                if (l)
                        timer_set(&receipts->timer, CONTAINER_OF(l, Client, link)->look_at);
        }
}

/* When to look for it next: from a quarter to half of what it has waited, within bounds. */
static void look_later(Receipts *receipts, Client *c, usec_t now) {
        usec_t interval = LOOK_INTERVAL_USEC;
        size_t level = 0;

        while (level < RECEIPTS_LEVELS - 1 && now - c->sent_at >= 4 * interval) {
                interval *= 2;
                level++;
        }

        c->look_at = now + interval;
        if (level > 0)
                c->look_at -= c->look_at % LOOK_INTERVAL_USEC; /* all of them with one wake-up */
        list_append(&receipts->unclaimed[level], &c->link);
}

int receipts_prepare(Receipts *receipts, Client *c, int conn_fd) {
        return receipts->by_turns ? 0 : watch_connection(&receipts->broker->watch, c, conn_fd);
}

void receipts_expect(Receipts *receipts, Client *c) {
        c->sent_at = broker_now(receipts->broker);
        look_later(receipts, c, c->sent_at);
        if (receipts->by_turns && !c->channel)
                list_append(&receipts->unwatched, &c->second_link);
        timer_set(&receipts->timer, c->look_at);
}

void receipts_taken(Broker *b, Client *c) {
        Worker *w = c->route->worker;

        worker_recovered(w);
        if (w->stuck)
                diag_worker_goes_on(b, c->route);
        w->stuck = false;

        b->n.n_handed++;
        w->n_taken++;
        c->route->stats->n_taken++;
        histogram_add(&c->route->stats->time, broker_now(b) - c->begun_at);
        observe(b, EVENT_HANDED, c, c->route);
        if (b->log_handoffs >= LOG_HANDOFFS_YES)
                diag_handed(b, c);

        broker_drop(b, c);
}

/* It is still ours, whole: another worker gets it, or this one when it had some rest. */
static void again(Broker *b, Client *c, Receipt why) {
        RouteStats *stats = c->route->stats;

        b->n.n_reset++;
        if (c->status != 0)
                b->n.n_flush_again++;
        if (why == RECEIPT_REFUSED)
                stats->n_declined++;
        else {
                c->route->worker->n_unread++;
                stats->n_unread++;
        }
        observe(b, why == RECEIPT_REFUSED ? EVENT_DECLINED : EVENT_UNREAD, c, c->route);

        /* A worker may end a connection that it keeps whenever it likes, and is still there for another one. */
        if (!c->channel || why == RECEIPT_REFUSED) {
                worker_back_off(c->route->worker, broker_now(b));
                diag_worker_reset(b, c->route);
        }

        c->channel = NULL;
        c->conn_fd = fd_close(c->conn_fd);
        c->route = NULL;
        c->state = CLIENT_NEW;
        pool_readmit(c);
}

/* The worker wants nobody to have it. */
static void failed(Broker *b, Client *c) {
        c->route->stats->n_failed++;
        worker_recovered(c->route->worker);
        c->channel = NULL;
        c->conn_fd = fd_close(c->conn_fd);
        c->state = CLIENT_NEW;
        refusal_send(b, c, REFUSAL_WORKER, PROBE_REASON_NONE);
}

/* What a receipt means for the client. */
typedef enum Outcome {
        OUTCOME_NONE, /* nothing yet */
        OUTCOME_TAKEN,
        OUTCOME_AGAIN,
        OUTCOME_FAILED,
} Outcome;

/*
 * A client from which one byte was read, or to which one was sent, is never given to a second worker, whatever the
 * first one says. Where that can't be known (AF_UNIX) its word counts, but not its silence.
 */
static Outcome interpret(const Client *c, Receipt receipt) {
        bool by_ack = c->route->config->receipt == RECEIPT_BY_ACK, is_unix = c->address.sa.sa_family == AF_UNIX;

        switch (receipt) {

        case RECEIPT_NONE:
                return OUTCOME_NONE;

        case RECEIPT_RECEIVED:
                return by_ack || !c->was_received ? OUTCOME_NONE : OUTCOME_TAKEN;

        case RECEIPT_CLOSED:
                return (by_ack || c->channel) && client_is_untouched(c) ? OUTCOME_AGAIN : OUTCOME_TAKEN;

        case RECEIPT_TAKEN:
        case RECEIPT_KEPT:
                return OUTCOME_TAKEN;

        case RECEIPT_REFUSED:
                return is_unix || client_is_untouched(c) ? OUTCOME_AGAIN : OUTCOME_TAKEN;

        case RECEIPT_ERROR:
                return is_unix || client_is_untouched(c) ? OUTCOME_FAILED : OUTCOME_TAKEN;

        case RECEIPT_RESET:
                return OUTCOME_AGAIN;
        }

        return OUTCOME_TAKEN;
}

bool receipts_settle(Broker *b, Client *c, Receipt receipt) {
        Outcome outcome = interpret(c, receipt);

        if (outcome == OUTCOME_NONE)
                return false;

        list_remove(&c->link);
        list_remove(&c->second_link);
        c->route->worker->n_unclaimed--;

        if (outcome == OUTCOME_TAKEN)
                receipts_taken(b, c);
        else if (outcome == OUTCOME_AGAIN)
                again(b, c, receipt);
        else
                failed(b, c);

        return true;
}

/* Looks for the receipt of a client that has a connection of its own. */
static bool look(Receipts *receipts, Client *c, bool look_into_queue) {
        Worker *w = c->route->worker;
        Broker *b = receipts->broker;
        KeptAnswer kept;
        Receipt receipt;

        receipt = handoff_receipt_or_kept(c->conn_fd, look_into_queue, c->may_keep ? &kept : NULL);
        if (receipt == RECEIPT_KEPT) {
                channel_begin(b, c, kept.limit);
                receipt = kept.first == 0 && kept.n == 1 ? kept.receipt : RECEIPT_TAKEN;
        }

        if (!receipts_settle(b, c, receipt)) {
                /* Received just now, the worker may yet say that it has no room. The next look is soon enough. */
                c->was_received = receipt == RECEIPT_RECEIVED;
                return false;
        }

        worker_serve_later(&b->workers, w);
        return true;
}

void receipts_on_event(Receipts *receipts, Client *c) {
        (void) look(receipts, c, /* look_into_queue= */ false);
}

/*
 * Who had no receipt yet when he was looked at. Whoever waits longer than a few turns has an event after all, so that
 * a worker that is slow does not hold up the receipts of others: false then.
 */
static bool look_again(Receipts *receipts, Client *c, List *again) {
        Broker *b = receipts->broker;

        list_remove(&c->second_link);

        if (broker_now(b) - c->sent_at <= PACE_TURN_USEC) {
                list_append(again, &c->second_link);
                return true;
        }

        (void) watch_connection(&b->watch, c, c->conn_fd); /* where that fails the timer finds it */
        return false;
}

void receipts_turn(Receipts *receipts) {
        List again, *l;

        if (!receipts->by_turns)
                return;

        channels_look(receipts->broker);

        list_init(&again);
        for (unsigned n_missed = 0; n_missed < MISSES_MAX && (l = list_first(&receipts->unwatched));) {
                Client *c = CONTAINER_OF(l, Client, second_link);

                if (!look(receipts, c, /* look_into_queue= */ false))
                        n_missed += look_again(receipts, c, &again);
        }

        while (!list_is_empty(&again)) {
                l = again.prev;
                list_remove(l);
                list_prepend(&receipts->unwatched, l);
        }
}

void receipts_watch(Receipts *receipts, bool by_turns) {
        Broker *b = receipts->broker;

        if (receipts->by_turns == by_turns)
                return;

        receipts->by_turns = by_turns;
        channels_watch(b, !by_turns);

        LIST_FOREACH(i, &receipts->unwatched) {
                Client *c = CONTAINER_OF(i, Client, second_link);

                list_remove(i);
                (void) watch_connection(&b->watch, c, c->conn_fd); /* where that fails the timer finds it */
        }
}

static void look_at_all(Receipts *receipts, List *due, usec_t now) {
        List *l;

        while ((l = list_first(due))) {
                Client *c = CONTAINER_OF(l, Client, link);

                if (c->look_at > now)
                        break;

                if (!c->channel && look(receipts, c, /* look_into_queue= */ true))
                        continue;

                if (now - c->sent_at >= STUCK_USEC && !c->route->worker->stuck) {
                        c->route->worker->stuck = true;
                        diag_worker_stuck(receipts->broker, c->route, now - c->sent_at);
                }

                list_remove(l);
                look_later(receipts, c, now);
        }
}

static void on_timer(void *userdata) {
        Receipts *receipts = userdata;

        for (size_t i = 0; i < RECEIPTS_LEVELS; i++)
                look_at_all(receipts, &receipts->unclaimed[i], broker_now(receipts->broker));

        timer_arm(receipts);
}
