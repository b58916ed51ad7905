/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/settlement.h"

#include <sys/socket.h>

#include "broker/delivery.h"
#include "broker/departure.h"
#include "broker/live.h"
#include "broker/state/watch.h"

/* Looks without a receipt in one turn of poll mode. The client that has waited longest comes first. */
#define MISSES_MAX 4

/* Pending clients at which one call of settlement_look_at_source() looks. */
#define SOURCE_LOOKS_MAX 64

/*
 * Time without a receipt after which the log says that a worker takes no clients. Most likely its service does not
 * start.
 */
#define UNRESPONSIVE_USEC (10 * USEC_PER_SEC)

/*
 * Workers that may die with the same client untouched. After that no worker gets it, because the client may be the
 * cause.
 */
#define DEATHS_MAX 3

typedef enum Outcome {
        OUTCOME_NONE,   /* nothing is known yet */
        OUTCOME_TAKEN,
        OUTCOME_AGAIN,  /* another worker may get the client */
        OUTCOME_FAILED, /* no worker gets the client */
} Outcome;

/*
 * Returns what a receipt means if the client is untouched. Another worker never gets a client that a worker touched,
 * whatever that worker answers (settlement_go_on()).
 *
 * Of an AF_UNIX client it can't be known whether it is untouched. Then the answer of the worker decides. Without an
 * answer the client counts as taken.
 */
static Outcome settlement_interpret(const Client *c, Receipt receipt) {
        bool by_ack = c->sent.route->config->receipt == RECEIPT_BY_ACK;

        switch (receipt) {

        case RECEIPT_NONE:
                return OUTCOME_NONE;

        case RECEIPT_RECEIVED:
                return by_ack || !c->sent.was_received ? OUTCOME_NONE : OUTCOME_TAKEN;

        case RECEIPT_CLOSED:
                return (by_ack || c->sent.persistent) && client_is_ip(c) ? OUTCOME_AGAIN : OUTCOME_TAKEN;

        case RECEIPT_TAKEN:
        case RECEIPT_RETURN:
        case RECEIPT_RETURN_TELL:
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

/* Notes that the worker takes clients. */
static void settlement_note_progress(Broker *b, Client *c) {
        Worker *w = c->sent.route->worker;

        worker_recovered(w);
        w->waits_since = loop_now(&b->loop);
        if (w->unresponsive)
                diag_worker_goes_on(&b->diag, c->sent.route);
        w->unresponsive = false;
}

static void settlement_refuse(Broker *b, Client *c, Refusal why) {
        live_unsend(b, c);
        c->sent.route = NULL;
        c->state = CLIENT_NEW;
        departure_refuse(b, c, why, PROBE_REASON_NONE);
}

static void settlement_count_again(Broker *b, const Client *c, Receipt receipt) {
        RouteStats *stats = c->sent.route->stats;

        b->n.n_unread++;
        b->n.n_flush_again += c->flush.status != 0;
        if (receipt == RECEIPT_REFUSED)
                stats->n_declined++;
        else {
                c->sent.route->worker->n_unread++;
                stats->n_unread++;
        }
        diag_observe(&b->diag, receipt == RECEIPT_REFUSED ? EVENT_DECLINED : EVENT_UNREAD, c, c->sent.route);
}

/* The worker left the client untouched. Another worker gets it, or the same one after its wait. */
static void settlement_again(Broker *b, Client *c, Receipt receipt) {
        live_unsend(b, c);
        settlement_count_again(b, c, receipt);

        /* A worker may end a persistent connection at any time, and take clients on another one. */
        if (!c->sent.was_persistent || receipt == RECEIPT_REFUSED) {
                worker_back_off(c->sent.route->worker, loop_now(&b->loop));
                diag_worker_reset(&b->diag, c->sent.route, c);
        }

        /* Only a worker that had received the client (RECEIPT_CLOSED) can have died because of it. */
        if (receipt == RECEIPT_CLOSED && ++c->sent.n_deaths == DEATHS_MAX) {
                c->sent.route->stats->n_failed++;
                settlement_refuse(b, c, REFUSAL_WORKER);
                return;
        }

        c->sent.was_persistent = false;
        c->sent.route = NULL;
        c->state = CLIENT_NEW;
        delivery_readmit(b, c);
}

static void settlement_failed(Broker *b, Client *c) {
        c->sent.route->stats->n_failed++;
        worker_recovered(c->sent.route->worker);
        settlement_refuse(b, c, REFUSAL_WORKER);
}

static void settlement_conclude(Broker *b, Client *c, Outcome outcome, Receipt receipt) {
        Worker *w = c->sent.route->worker;

        w->n_pending--;
        if (outcome == OUTCOME_TAKEN) {
                settlement_note_progress(b, c);
                departure_taken(b, c);
        } else if (outcome == OUTCOME_AGAIN)
                settlement_again(b, c, receipt);
        else
                settlement_failed(b, c);
        worker_serve_later(&b->workers, w);
}

/*
 * Checks that the client is untouched on the same connection, and restores its socket. If a step fails, no other worker
 * gets it. An AF_UNIX socket tells nothing of that.
 */
static void settlement_ask(void *userdata, Client *c, SocketTask *t) {
        inspect_describe(c, t);
        t->steps = SOCKET_STEP_PEEK;
        if (client_is_ip(c))
                t->steps |= SOCKET_STEP_SAME | SOCKET_STEP_UNTOUCHED | SOCKET_STEP_RESTORE;
}

/* True if the client itself has ended the connection, and its worker left it unread. */
static bool settlement_has_left(const Client *c, const SocketTask *t) {
        return t && t->error == -ENOTCONN && c->sent.receipt == RECEIPT_RESET;
}

static void settlement_go_on(void *userdata, Client *c, const SocketTask *t) {
        Outcome outcome = (Outcome) c->sent.outcome;
        Worker *w = c->sent.route->worker;
        Broker *b = userdata;

        if (!t || t->failed != 0)
                outcome = OUTCOME_TAKEN;

        if (!settlement_has_left(c, t) && (outcome == OUTCOME_TAKEN || inspect_keep(c, t) >= 0)) {
                settlement_conclude(b, c, outcome, c->sent.receipt);
                return;
        }

        w->n_pending--;
        if (settlement_has_left(c, t))
                departure_gone(b, c);
        else
                settlement_refuse(b, c, REFUSAL_BROKER);
        worker_serve_later(&b->workers, w);
}

static const InspectKind settlement_kind = { settlement_ask, settlement_go_on };

/* Ends the connection between the client and its worker. */
static void settlement_disconnect(Broker *b, Client *c) {
        receipts_leave(c);
        c->sent.was_persistent = c->sent.was_persistent || c->sent.persistent;
        c->sent.persistent = NULL;
        client_close_connection(&b->clients, c);
}

/* Frees the slot of a client whose time was over, because its receipt has come. */
static void settlement_end_expired(Broker *b, Client *c, Receipt receipt) {
        Worker *w = c->sent.route->worker;

        w->n_pending--;
        if (receipt != RECEIPT_RESET)
                settlement_note_progress(b, c);
        departure_drop(b, c);
        worker_serve_later(&b->workers, w);
}

/*
 * True if the client never got to this worker. What is known of it is still true, and that is little if the worker before
 * has told its head: no inspection would find that untouched.
 */
static bool settlement_is_unsent(const Client *c) {
        return c->is_told && c->last_worker != c->sent.route->worker->number;
}

bool settlement_settle(Broker *b, Client *c, Receipt receipt) {
        Outcome outcome = settlement_interpret(c, receipt);

        if (outcome == OUTCOME_NONE)
                return false;

        /* The helper is ending the client. settlement_go_on_expired() concludes. */
        if (c->state == CLIENT_INSPECTED) {
                waiting_remove(&c->second);
                c->sent.persistent = NULL;
                c->sent.receipt = receipt;
                c->sent.is_settled = true;
                return true;
        }

        settlement_disconnect(b, c);
        if (c->sent.is_expired)
                settlement_end_expired(b, c, receipt);
        else if (outcome == OUTCOME_TAKEN || !c->is_shared || settlement_is_unsent(c))
                settlement_conclude(b, c, outcome, receipt);
        else if (c->sent.route->worker->n_hanging > 0)
                settlement_conclude(b, c, OUTCOME_TAKEN, receipt);
        else {
                c->sent.receipt = receipt;
                c->sent.outcome = (uint8_t) outcome;
                inspect_begin(&b->inspect, c, &settlement_kind);
        }

        return true;
}

void settlement_settle_persistent(Broker *b) {
        for (List *l; (l = list_first(&b->persistent.settled));) {
                Client *c = CONTAINER_OF(l, Client, second.link);

                (void) settlement_settle(b, c, c->sent.receipt);
        }
}

/*
 * Describes the helper's task at the end of QueueTimeoutSec= for a client in a worker's backlog. The client can't be
 * taken back from there. So it is answered, and its socket is shut down for the worker, too.
 *
 * Its slot waits for the receipt. Until then the client still counts for MaxPending=.
 */
static void settlement_ask_expired(void *userdata, Client *c, SocketTask *t) {
        if (c->flush.status != 0) /* its response has begun, see departure_close() */
                t->steps = SOCKET_STEP_RESET;
        else
                t->steps = SOCKET_STEP_PEEK | SOCKET_STEP_ANSWER | SOCKET_STEP_DRAIN | SOCKET_STEP_SEND | SOCKET_STEP_SHUTDOWN;
        if (client_is_ip(c))
                t->steps |= SOCKET_STEP_SAME | SOCKET_STEP_UNTOUCHED;
        t->how = SHUT_RDWR;
        inspect_describe_answer(c, t);
        inspect_describe(c, t);
}

static void settlement_go_on_expired(void *userdata, Client *c, const SocketTask *t) {
        Broker *b = userdata;

        /* The worker has received the client meanwhile, and has it. */
        if (!t || t->failed & (SOCKET_STEP_SAME | SOCKET_STEP_UNTOUCHED)) {
                settlement_disconnect(b, c);
                settlement_conclude(b, c, OUTCOME_TAKEN, RECEIPT_TAKEN);
                return;
        }

        diag_client_expired(&b->diag, c->pool);
        departure_count_refusal(b, c, REFUSAL_TIMEOUT, PROBE_REASON_NONE);
        b->n.n_flush_lost += c->flush.status != 0;
        live_unsend(b, c);
        client_close_socket(&b->clients, c);
        source_put(&b->sources, c);
        c->sent.is_expired = true;

        if (c->sent.is_settled) {
                settlement_disconnect(b, c);
                settlement_end_expired(b, c, c->sent.receipt);
                return;
        }

        c->state = CLIENT_PENDING;
        receipts_look_later(&b->receipts, c);
}

static const InspectKind settlement_expired_kind = { settlement_ask_expired, settlement_go_on_expired };

static void settlement_expire(Broker *b, Client *c) {
        waiting_remove(&c->wait);
        c->sent.is_settled = false;
        c->refused.why = REFUSAL_TIMEOUT;
        inspect_begin(&b->inspect, c, &settlement_expired_kind);
}

/* The worker keeps the connection to hand clients back on it. Without memory it is closed like any other. */
static void settlement_keep_way_back(Broker *b, Client *c, bool wants_drains) {
        unwatch_connection(&b->loop, c->sent.conn_fd);
        if (ways_back_add(&b->ways_back, c->sent.conn_fd, c->sent.route->worker->number, wants_drains) >= 0)
                c->sent.conn_fd = -EBADF;
}

/* Looks for the receipt of a client with a connection of its own. Returns false if there is none yet. */
static bool settlement_look(Broker *b, Client *c, bool look_into_queue) {
        PersistentAnswer kept;
        Receipt receipt;

        receipt = handoff_receipt_or_persistent(c->sent.conn_fd, look_into_queue, c->sent.may_reuse ? &kept : NULL);
        if (receipt == RECEIPT_PERSISTENT) {
                persistent_begin(&b->persistent, c, kept.limit);
                receipt = kept.first == 0 && kept.n == 1 ? kept.receipt : RECEIPT_TAKEN;
        }

        if (receipt == RECEIPT_RETURN || receipt == RECEIPT_RETURN_TELL)
                settlement_keep_way_back(b, c, receipt == RECEIPT_RETURN_TELL);

        if (settlement_settle(b, c, receipt))
                return true;

        /*
         * A worker that has just received the client may still decline it. So only a second look into the queue that
         * finds the same counts.
         */
        if (look_into_queue)
                c->sent.was_received = receipt == RECEIPT_RECEIVED;
        return false;
}

void settlement_on_event(Broker *b, Client *c) {
        (void) settlement_look(b, c, /* look_into_queue= */ false);
}

/*
 * Handles a client whose look found no receipt. It goes to @again to be polled again, and the result is true. If it has
 * waited longer than a turn, it is watched, and the result is false. Otherwise a slow worker would use up the looks of
 * others.
 */
static bool settlement_poll_later(Broker *b, Client *c, List *again) {
        if (loop_now(&b->loop) - c->sent.at > POLL_MODE_TURN_USEC) {
                receipts_watch(&b->receipts, c);
                return false;
        }

        list_remove(&c->second.link);
        list_append(again, &c->second.link);
        return true;
}

void settlement_poll(Broker *b) {
        List again, *l;

        persistent_look_all(&b->persistent);

        list_init(&again);
        for (unsigned n_missed = 0; n_missed < MISSES_MAX && (l = list_first(&b->receipts.unwatched));) {
                Client *c = CONTAINER_OF(l, Client, second.link);

                if (!settlement_look(b, c, /* look_into_queue= */ false))
                        n_missed += settlement_poll_later(b, c, &again);
        }

        while (!list_is_empty(&again)) {
                l = again.prev;
                list_remove(l);
                list_prepend(&b->receipts.unwatched, l);
        }
}

void settlement_look_at_source(Broker *b, const Source *s) {
        List *head = &b->receipts.pending[0].waits, *before;
        unsigned n = 0;

        if (b->receipts.looked_at == loop_now(&b->loop))
                return;

        b->receipts.looked_at = loop_now(&b->loop);
        persistent_look_all(&b->persistent);
        settlement_settle_persistent(b);

        for (List *i = head->prev; i != head && n < SOURCE_LOOKS_MAX; i = before, n++) {
                Client *c = CONTAINER_OF(i, Client, wait.link);

                before = i->prev;
                if (c->source == s && !c->sent.persistent)
                        (void) settlement_look(b, c, /* look_into_queue= */ false);
        }
}

void settlement_set_polled(Broker *b, bool is_polled) {
        if (b->receipts.is_polled == is_polled)
                return;

        persistent_set_polled(&b->persistent, is_polled);
        receipts_set_polled(&b->receipts, is_polled);
}

/*
 * Handles the end of QueueTimeoutSec=. A client that its worker has received is the worker's. With Receipt=ack or on a
 * persistent connection it is not, because there the worker has to answer.
 */
static void settlement_end_of_time(Broker *b, Client *c) {
        if (!c->sent.was_received || c->sent.persistent || !settlement_settle(b, c, RECEIPT_RECEIVED))
                settlement_expire(b, c);
}

static void settlement_note_unresponsive(Broker *b, const Client *c) {
        Worker *w = c->sent.route->worker;
        usec_t span = loop_now(&b->loop) - c->sent.at;

        if (span < UNRESPONSIVE_USEC || w->unresponsive)
                return;

        w->unresponsive = true;
        diag_worker_stuck(&b->diag, c->sent.route, span);
}

static void settlement_look_at_due(Broker *b, Client *c) {
        if (!c->sent.persistent && settlement_look(b, c, /* look_into_queue= */ true))
                return;
        if (c->sent.persistent && c->sent.persistent->is_deaf)
                persistent_on_event(&b->persistent, c->sent.persistent->slot);

        if (c->queue.expires_at <= loop_now(&b->loop) && !c->sent.is_expired) {
                settlement_end_of_time(b, c);
                return;
        }

        settlement_note_unresponsive(b, c);
        receipts_look_later(&b->receipts, c);
}

void settlement_on_timer(void *userdata) {
        Broker *b = userdata;

        for (Client *c; (c = receipts_next_due(&b->receipts));)
                settlement_look_at_due(b, c);
}

void settlement_drop_expired(Broker *b) {
        for (size_t i = 0; i < RECEIPTS_LEVELS; i++)
                LIST_FOREACH(l, &b->receipts.pending[i].waits) {
                        Client *c = CONTAINER_OF(l, Client, wait.link);

                        if (!c->sent.is_expired)
                                continue;

                        c->sent.route->worker->n_pending--;
                        departure_drop(b, c);
                }
}
