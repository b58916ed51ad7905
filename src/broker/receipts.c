/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/receipts.h"

#include "basic/fd.h"
#include "broker/broker.h"
#include "broker/channel.h"
#include "broker/diag.h"
#include "broker/judge.h"
#include "broker/observe.h"
#include "broker/pool.h"
#include "broker/refusal.h"
#include "broker/watch.h"

/*
 * A worker need not close the connection before it serves the client, and those written for
 * mod_proxy_fdpass often don't. This often the queue of an pending handoff is looked into instead. Until
 * then such a client counts as pending, and a FIN that its worker sends by close() is withheld. Whoever has waited for
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
                list_init(&receipts->pending[i]);
        list_init(&receipts->last_looks);
        list_init(&receipts->unwatched);
        return timer_init(&receipts->timer, b, on_timer, receipts);
}

void receipts_done(Receipts *receipts) {
        timer_done(&receipts->timer);
}

bool receipts_any(const Receipts *receipts) {
        for (size_t i = 0; i < RECEIPTS_LEVELS; i++)
                if (!list_is_empty(&receipts->pending[i]))
                        return true;

        return !list_is_empty(&receipts->last_looks);
}

void receipts_drop_expired(Receipts *receipts) {
        for (size_t i = 0; i < RECEIPTS_LEVELS; i++)
                LIST_FOREACH(l, &receipts->pending[i]) {
                        Client *c = CONTAINER_OF(l, Client, link);

                        if (!c->is_expired)
                                continue;

                        c->route->worker->n_pending--;
                        broker_drop(receipts->broker, c);
                }
}

static void receipts_arm(Receipts *receipts, const List *list) {
        List *l = list_first(list);

        if (l)
                timer_set(&receipts->timer, CONTAINER_OF(l, Client, link)->look_at);
}

static void timer_arm(Receipts *receipts) {
        for (size_t i = 0; i < RECEIPTS_LEVELS; i++)
                receipts_arm(receipts, &receipts->pending[i]);
        receipts_arm(receipts, &receipts->last_looks);
}

/* The earliest end first. With one timeout for all that is the order of arrival. */
static void receipts_look_last(Receipts *receipts, Client *c) {
        List *before = receipts->last_looks.prev;

        c->look_at = c->expires_at;
        while (before != &receipts->last_looks && CONTAINER_OF(before, Client, link)->look_at > c->look_at)
                before = before->prev;

        list_append(before->next, &c->link);
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
        if (c->look_at >= c->expires_at && !c->is_expired) {
                receipts_look_last(receipts, c);
                return;
        }
        if (level > 0)
                c->look_at -= c->look_at % LOOK_INTERVAL_USEC; /* all of them with one wake-up */
        list_append(&receipts->pending[level], &c->link);
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

/* The worker takes what it is sent. */
static void receipts_note_progress(Broker *b, Client *c) {
        Worker *w = c->route->worker;

        worker_recovered(w);
        if (w->stuck)
                diag_worker_goes_on(b, c->route);
        w->stuck = false;
}

void receipts_taken(Broker *b, Client *c) {
        Worker *w = c->route->worker;

        receipts_note_progress(b, c);
        b->n.n_handed++;
        w->n_taken++;
        c->route->stats->n_taken++;
        histogram_add(&c->route->stats->time, broker_now(b) - c->begun_at);
        observe(b, EVENT_HANDED, c, c->route);
        if (b->log_handoffs >= LOG_HANDOFFS_YES)
                diag_handed(b, c);

        broker_drop(b, c);
}

/* A client at which so many handoffs died is given to no other worker: it may be the reason. */
#define DEATHS_MAX 3

/* Ends what connects the client with its worker. */
static void receipts_leave(Broker *b, Client *c) {
        list_remove(&c->link);
        list_remove(&c->second_link);
        c->was_kept = c->was_kept || c->channel;
        c->channel = NULL;
        client_close_connection(&b->clients, c);
}

static void receipts_refuse(Broker *b, Client *c, Refusal why) {
        c->route = NULL;
        c->state = CLIENT_NEW;
        refusal_send(b, c, why, PROBE_REASON_NONE);
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

        /* A worker may end a persistent connection whenever it likes, and is still there for another one. */
        if (!c->was_kept || why == RECEIPT_REFUSED) {
                worker_back_off(c->route->worker, broker_now(b));
                diag_worker_reset(b, c->route);
        }

        /* The worker had received it: a client that was left unread (RESET) can't be the reason of a death. */
        if (why == RECEIPT_CLOSED && ++c->n_deaths == DEATHS_MAX) {
                stats->n_failed++;
                receipts_refuse(b, c, REFUSAL_WORKER);
                return;
        }

        c->was_kept = false;
        c->route = NULL;
        c->state = CLIENT_NEW;
        pool_readmit(c);
}

/* The worker wants nobody to have it. */
static void failed(Broker *b, Client *c) {
        c->route->stats->n_failed++;
        worker_recovered(c->route->worker);
        receipts_refuse(b, c, REFUSAL_WORKER);
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
 * first one says. If that can't be known (AF_UNIX) the worker's word counts, but not its silence.
 */
static Outcome interpret(const Client *c, Receipt receipt) {
        bool by_ack = c->route->config->receipt == RECEIPT_BY_ACK;

        switch (receipt) {

        case RECEIPT_NONE:
                return OUTCOME_NONE;

        case RECEIPT_RECEIVED:
                return by_ack || !c->was_received ? OUTCOME_NONE : OUTCOME_TAKEN;

        case RECEIPT_CLOSED:
                return (by_ack || c->channel) && client_is_ip(c) ? OUTCOME_AGAIN : OUTCOME_TAKEN;

        case RECEIPT_TAKEN:
        case RECEIPT_PERSISTENT:
                return OUTCOME_TAKEN;

        case RECEIPT_REFUSED:
        case RECEIPT_RESET:
                return OUTCOME_AGAIN;

        case RECEIPT_ERROR:
                return OUTCOME_FAILED;
        }

        return OUTCOME_TAKEN;
}

static void receipts_conclude(Broker *b, Client *c, Outcome outcome, Receipt receipt) {
        c->route->worker->n_pending--;

        if (outcome == OUTCOME_TAKEN)
                receipts_taken(b, c);
        else if (outcome == OUTCOME_AGAIN)
                again(b, c, receipt);
        else
                failed(b, c);
}

/* The same connection, untouched, and as from accept(2): else it is not given on. Of AF_UNIX none of that can be told. */
static void receipts_ask(Broker *b, Client *c, SocketTask *t) {
        judge_describe(c, t);
        t->steps = SOCKET_STEP_PEEK;
        if (client_is_ip(c))
                t->steps |= SOCKET_STEP_SAME | SOCKET_STEP_UNTOUCHED | SOCKET_STEP_RESTORE;
}

/* A client that its worker has left unread, and that is not connected any more, has left by itself. */
static bool receipts_has_left(const Client *c, const SocketTask *t) {
        return t && t->error == -ENOTCONN && c->receipt == RECEIPT_RESET;
}

static void receipts_go_on(Broker *b, Client *c, const SocketTask *t) {
        Worker *w = c->route->worker;
        Outcome outcome = (Outcome) c->outcome;

        if (!t || t->failed != 0)
                outcome = OUTCOME_TAKEN;

        if (receipts_has_left(c, t)) {
                w->n_pending--;
                b->n.n_gone++;
                broker_drop(b, c);
        } else if (outcome != OUTCOME_TAKEN && judge_keep(c, t) < 0) {
                w->n_pending--;
                receipts_refuse(b, c, REFUSAL_BROKER);
        } else
                receipts_conclude(b, c, outcome, c->receipt);
        worker_serve_later(&b->workers, w);
}

static const JudgeKind receipts_kind = { receipts_ask, receipts_go_on };

/* A receipt after the client's time was over: its slot is not needed any more. */
static void receipts_end_expired(Broker *b, Client *c, Receipt receipt) {
        Worker *w = c->route->worker;

        w->n_pending--;
        if (receipt != RECEIPT_RESET)
                receipts_note_progress(b, c);
        broker_drop(b, c);
}

bool receipts_settle(Broker *b, Client *c, Receipt receipt) {
        Outcome outcome = interpret(c, receipt);

        if (outcome == OUTCOME_NONE)
                return false;

        /* The helper is just ending it. */
        if (c->state == CLIENT_JUDGED) {
                list_remove(&c->second_link);
                c->channel = NULL;
                c->receipt = receipt;
                c->is_settled = true;
                return true;
        }

        receipts_leave(b, c);
        if (c->is_expired)
                receipts_end_expired(b, c, receipt);
        else if (outcome == OUTCOME_TAKEN || !c->is_shared)
                receipts_conclude(b, c, outcome, receipt);
        else if (c->route->worker->n_hanging > 0)
                receipts_conclude(b, c, OUTCOME_TAKEN, receipt);
        else {
                c->receipt = receipt;
                c->outcome = (uint8_t) outcome;
                judge_begin(b, c, &receipts_kind);
        }

        return true;
}

/*
 * The end of QueueTimeoutSec= for a client that is still with a worker, unread. It can't be recalled, but it can be ended: the
 * worker that comes at last gets a socket at its end. Its slot waits for the receipt, so that the worker gets no others instead.
 */
static void receipts_ask_to_end(Broker *b, Client *c, SocketTask *t) {
        if (c->status != 0) /* its response has begun: see cut_off() */
                t->steps = SOCKET_STEP_RESET;
        else
                t->steps = SOCKET_STEP_PEEK | SOCKET_STEP_ANSWER | SOCKET_STEP_DRAIN | SOCKET_STEP_SEND | SOCKET_STEP_SHUTDOWN;
        if (client_is_ip(c))
                t->steps |= SOCKET_STEP_SAME | SOCKET_STEP_UNTOUCHED;
        t->how = SHUT_RDWR;
        refusal_describe(c, t);
        judge_describe(c, t);
}

static void receipts_go_on_ended(Broker *b, Client *c, const SocketTask *t) {
        Worker *w = c->route->worker;

        /* The worker has it, and works on it. */
        if (!t || t->failed & (SOCKET_STEP_SAME | SOCKET_STEP_UNTOUCHED)) {
                receipts_leave(b, c);
                receipts_conclude(b, c, OUTCOME_TAKEN, RECEIPT_TAKEN);
                worker_serve_later(&b->workers, w);
                return;
        }

        diag_client_expired(c->pool);
        refusal_count(b, c, REFUSAL_TIMEOUT, PROBE_REASON_NONE);
        b->n.n_flush_lost += c->status != 0;
        client_close_socket(&b->clients, c);
        source_put(&b->sources, c);
        c->is_expired = true;

        if (c->is_settled) {
                receipts_leave(b, c);
                receipts_end_expired(b, c, c->receipt);
                worker_serve_later(&b->workers, w);
                return;
        }

        c->state = CLIENT_PENDING;
        look_later(&b->receipts, c, broker_now(b));
        timer_arm(&b->receipts);
}

static const JudgeKind receipts_end_kind = { receipts_ask_to_end, receipts_go_on_ended };

static void receipts_expire(Receipts *receipts, Client *c) {
        list_remove(&c->link);
        c->is_settled = false;
        c->refusal = REFUSAL_TIMEOUT;
        judge_begin(receipts->broker, c, &receipts_end_kind);
}

/* Looks for the receipt of a client that has a connection of its own. */
static bool look(Receipts *receipts, Client *c, bool look_into_queue) {
        Worker *w = c->route->worker;
        Broker *b = receipts->broker;
        PersistentAnswer kept;
        Receipt receipt;

        receipt = handoff_receipt_or_persistent(c->conn_fd, look_into_queue, c->may_keep ? &kept : NULL);
        if (receipt == RECEIPT_PERSISTENT) {
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

/* A worker that has received the client has it, unless it has to say so itself (Receipt=ack, persistent connections). */
static void receipts_expire_or_settle(Receipts *receipts, Client *c) {
        Worker *w = c->route->worker;

        if (!c->was_received || c->channel || !receipts_settle(receipts->broker, c, RECEIPT_RECEIVED))
                receipts_expire(receipts, c);
        else
                worker_serve_later(&receipts->broker->workers, w);
}

static void look_at_all(Receipts *receipts, List *due, usec_t now) {
        List *l;

        while ((l = list_first(due))) {
                Client *c = CONTAINER_OF(l, Client, link);

                if (c->look_at > now)
                        break;

                if (!c->channel && look(receipts, c, /* look_into_queue= */ true))
                        continue;
                if (c->channel && c->channel->is_deaf)
                        channel_on_event(receipts->broker, c->channel->slot);

                if (c->expires_at <= now && !c->is_expired) {
                        receipts_expire_or_settle(receipts, c);
                        continue;
                }

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
                look_at_all(receipts, &receipts->pending[i], broker_now(receipts->broker));
        look_at_all(receipts, &receipts->last_looks, broker_now(receipts->broker));

        timer_arm(receipts);
}
