/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/delivery.h"

#include "basic/error.h"
#include "broker/departure.h"
#include "broker/live.h"
#include "broker/stage/balance.h"
#include "broker/stage/metadata.h"
#include "broker/stage/queue.h"
#include "broker/state/client-request.h"

/* Largest number of pools that a client gets to by Fallback=. */
#define FALLBACKS_MAX 4

/* Shortest time between two attempts at a worker of a lost pool. The second one is for each worker of the pool. */
#define RETRY_USEC (1 * USEC_PER_MSEC)
#define RETRY_USEC_PER_ROUTE (USEC_PER_MSEC / 2)

typedef enum Placement {
        PLACEMENT_DONE, /* the client was sent, or has left this file in another way */
        PLACEMENT_BUSY, /* no worker may get a client now */
        PLACEMENT_LOST, /* all workers of the pool have been lost for 1 s */
} Placement;

static void delivery_ask_flush(void *userdata, Client *c, SocketTask *t) {
        flush_describe(c, t);
}

static void delivery_go_on_flush(void *userdata, Client *c, const SocketTask *t);

static const InspectKind delivery_flush_kind = { delivery_ask_flush, delivery_go_on_flush };

static void delivery_note_sent(Broker *b, Route *route, Client *c) {
        c->state = CLIENT_PENDING;
        c->sent.route = route;
        if (route->worker->n_pending++ == 0)
                route->worker->waits_since = loop_now(&b->loop);
        receipts_enter(&b->receipts, c);
        if (b->live)
                live_note_sent(b, c);
        if (c->sent.persistent)
                persistent_send_if_full(c->sent.persistent);
}

/* Moves a client on that its flusher keeps from a worker. @r is not FLUSH_DONE. */
static void delivery_end_flush(Broker *b, Client *c, FlushResult r) {
        switch (r) {

        case FLUSH_DONE:
        case FLUSH_WAIT:
                break;

        case FLUSH_INSPECT:
                inspect_begin(&b->inspect, c, &delivery_flush_kind);
                break;

        case FLUSH_ANSWERED:
                departure_answered(b, c);
                break;

        case FLUSH_REFUSED:
                departure_refuse(b, c, c->refused.why, PROBE_REASON_NONE);
                break;

        case FLUSH_GONE:
                departure_gone(b, c);
                break;
        }
}

/* Sends the client to the worker of a route. Returns false if that worker did not get it, and another one may. */
static bool delivery_offer(Broker *b, Route *route, Client *c) {
        bool was_flushed = c->flush.status != 0, is_flushed;
        FlushResult flush;
        OfferResult result = offer(&b->offers, route, c, &flush);

        is_flushed = !was_flushed && c->flush.status != 0;
        b->n.n_flushed += is_flushed;

        switch (result) {

        case OFFER_BUSY:
                b->n.n_flush_again += is_flushed;
                return false;

        case OFFER_SENT:
                delivery_note_sent(b, route, c);
                break;

        case OFFER_FLUSHED:
                b->n.n_flush_waits += flush == FLUSH_WAIT;
                delivery_end_flush(b, c, flush);
                break;
        }

        return true;
}

/*
 * Sends the client to the first worker that can be reached. The loop ends, because a worker that failed is not ready
 * for a while. Returns false if no worker got it.
 */
static bool delivery_send(Broker *b, Pool *p, Client *c) {
        usec_t now = loop_now(&b->loop);
        Route *route;

        while ((route = balance_pick(p, c, now)))
                if (delivery_offer(b, route, c)) {
                        balance_sent(p, route, now);
                        return true;
                }

        return false;
}

/*
 * Has the workers of a lost pool tried again for one client. Each attempt takes about 5 µs, so those of one pool take
 * at most a hundredth of the time of a processor.
 */
static void delivery_try_again(Broker *b, Pool *p) {
        usec_t interval = MAX(p->n_routes * RETRY_USEC_PER_ROUTE, RETRY_USEC);

        for (size_t i = 0; i < p->n_routes; i++)
                worker_try_again(p->routes[i].worker, loop_now(&b->loop), interval);
}

static Placement delivery_place(Broker *b, Pool *p, Client *c) {
        usec_t now = loop_now(&b->loop);

        if (delivery_send(b, p, c))
                return PLACEMENT_DONE;
        if (!balance_is_lost(p, now))
                return PLACEMENT_BUSY;

        delivery_try_again(b, p);
        if (delivery_send(b, p, c))
                return PLACEMENT_DONE;

        return balance_is_lost(p, now) ? PLACEMENT_LOST : PLACEMENT_BUSY;
}

/*
 * Queues the client. If the queue was empty, its workers are asked again at the end of the turn, because one may have
 * become ready.
 */
static void delivery_queue(Broker *b, Pool *p, Client *c, bool again) {
        bool is_first = p->n_queued == 0;

        queue_enter(p, c, again);
        for (size_t i = 0; is_first && i < p->n_routes; i++)
                worker_serve_later(&b->workers, p->routes[i].worker);
}

/* Removes queued clients that have left, because they take places of new ones. */
static void delivery_sweep(Broker *b, Pool *p) {
        if (!queue_is_sweep_due(p))
                return;

        LIST_FOREACH(i, &p->queue.waits) {
                Client *c = CONTAINER_OF(i, Client, wait.link);

                if (!client_is_gone(c))
                        continue;

                queue_leave(c);
                departure_gone(b, c);
        }
}

/* Refuses a client for which the pool has no worker, or does what Fallback= says. */
static void delivery_refuse(Broker *b, Client *c, Refusal why) {
        Pool *p = c->pool;

        if (p->fallback_pool && c->queue.n_fallbacks < FALLBACKS_MAX && why != REFUSAL_STOPPING) {
                c->queue.n_fallbacks++;
                c->queue.has_waited = false;
                pool_release_client(c);
                delivery_admit(b, p->fallback_pool, c);
        } else if (p->config->fallback == FALLBACK_CLOSE)
                departure_close(b, c, why);
        else
                departure_refuse(b, c, why, PROBE_REASON_NONE);
}

static void delivery_refuse_full(Broker *b, Client *c) {
        diag_queue_full(&b->diag, c->pool, c);
        delivery_refuse(b, c, REFUSAL_QUEUE_FULL);
}

/*
 * Refuses a queued client whose source has many of them, to make a place for @c. Returns false if there is none.
 * Otherwise two sources could keep a queue full.
 */
static bool delivery_make_place(Broker *b, Pool *p, const Client *c) {
        Client *greedy = c->source ? queue_find_greedy(p, c) : NULL;

        if (!greedy)
                return false;

        queue_leave(greedy);
        delivery_refuse_full(b, greedy);
        return true;
}

/* True if the pool has half of all places. Then it gets no more, whatever MaxQueued= of its units says. */
static bool delivery_has_its_share(const Broker *b, const Pool *p) {
        return p->n_clients > MAX(b->admission.max_clients / 2, (size_t) 1);
}

/* True if each worker of the pool compares the told head with its scope, which covers it, before it serves the client. */
static bool delivery_is_told_enough(Broker *b, const Pool *p, const Client *c) {
        for (size_t i = 0; i < p->n_routes; i++)
                if (!p->routes[i].worker->compares_next || p->routes[i].transport != TRANSPORT_SEQPACKET ||
                    !p->routes[i].config->metadata)
                        return false;

        return !p->config->provider && metadata_covers_head(&b->head_buffer, p, c);
}

static void delivery_ask_told(void *userdata, Client *c, SocketTask *t) {
        t->steps = INSPECT_STEPS_RETURNED;
        inspect_describe(c, t);
}

static bool delivery_was_told_right(const Client *c, const SocketTask *t) {
        return t->n_head >= c->copy->n && memcmp(t->head, c->copy->bytes, c->copy->n) == 0;
}

static void delivery_admit_known(Broker *b, Client *c);

/* Goes on with a client for which its pool wants more than what a worker told. It was routed by these bytes. */
static void delivery_go_on_told(void *userdata, Client *c, const SocketTask *t) {
        Broker *b = userdata;

        if (!t || (t->failed != 0 && !errno_is_resource(t->error)) || (t->failed == 0 && !delivery_was_told_right(c, t)))
                departure_gone(b, c);
        else if (t->failed != 0 || inspect_adopt(c, t) < 0)
                departure_refuse(b, c, REFUSAL_BROKER, PROBE_REASON_NONE);
        else {
                c->is_told = false;
                delivery_admit_known(b, c);
        }
}

static const InspectKind delivery_told_kind = { delivery_ask_told, delivery_go_on_told };

/* Notes the request for the log. A client of a listener whose bytes are not looked at has none. */
static void delivery_note_request(Broker *b, Client *c) {
        const Probe *probe;

        free(TAKE_PTR(c->request));
        if (b->diag.log_handoffs < LOG_HANDOFFS_YES || !c->listener->needs_head)
                return;

        probe = head_buffer_probe(&b->head_buffer, c);
        if (probe)
                (void) client_request_new(probe, &c->request); /* without memory the line lacks the request */
}

void delivery_admit(Broker *b, Pool *p, Client *c) {
        pool_take_client(p, c);
        delivery_note_request(b, c);

        if (c->is_told && !delivery_is_told_enough(b, p, c))
                inspect_begin(&b->inspect, c, &delivery_told_kind);
        else
                delivery_admit_known(b, c);
}

/* Has the flusher of a pool without workers answer the client (Flusher=redirect). */
static void delivery_redirect(Broker *b, Client *c) {
        FlushResult r;

        /* A flusher of the route before a Fallback= has begun the response already. */
        if (c->flush.status != 0) {
                departure_refuse(b, c, REFUSAL_WORKER, PROBE_REASON_NONE);
                return;
        }

        r = flush_begin(&b->flushes, c->pool->routes, c);
        b->n.n_flushed += c->flush.status != 0;
        b->n.n_flush_waits += r == FLUSH_WAIT;
        delivery_end_flush(b, c, r);
}

/* Gives the client to a worker of its pool, or has it wait for one. */
static void delivery_admit_known(Broker *b, Client *c) {
        Placement r = PLACEMENT_BUSY;
        Pool *p = c->pool;

        if (p->config->redirects) {
                delivery_redirect(b, c);
                return;
        }

        if ((c->context || c->flush.status != 0) && !flush_can_take(&b->head_buffer, p, c)) {
                delivery_refuse(b, c, REFUSAL_WORKER);
                return;
        }

        if (delivery_has_its_share(b, p) && !delivery_make_place(b, p, c)) {
                delivery_refuse_full(b, c);
                return;
        }

        c->queue.expires_at = p->queue_timeout > 0 ? usec_add(loop_now(&b->loop), p->queue_timeout) : USEC_INFINITY;

        /* A client must not overtake queued ones. */
        if (p->n_queued == 0)
                r = delivery_place(b, p, c);

        if (r == PLACEMENT_BUSY && p->n_queued >= p->max_queued)
                delivery_sweep(b, p);

        if (r == PLACEMENT_LOST)
                delivery_refuse(b, c, REFUSAL_WORKER_GONE);
        else if (r == PLACEMENT_BUSY && p->n_queued >= p->max_queued && !delivery_make_place(b, p, c))
                delivery_refuse_full(b, c);
        else if (r == PLACEMENT_BUSY)
                delivery_queue(b, p, c, /* again= */ false);
}

void delivery_readmit(Broker *b, Client *c) {
        Pool *p = c->pool;
        Placement r;

        if (c->queue.expires_at <= loop_now(&b->loop)) {
                diag_client_expired(&b->diag, p);
                delivery_refuse(b, c, REFUSAL_TIMEOUT);
                return;
        }

        c->queue.has_waited = true;

        r = delivery_place(b, p, c);
        if (r == PLACEMENT_LOST)
                delivery_refuse(b, c, REFUSAL_WORKER_GONE);
        else if (r == PLACEMENT_BUSY) /* even if the queue is full, because MaxQueued= is for new clients */
                delivery_queue(b, p, c, /* again= */ true);
}

/* Sends the first queued client. Returns false if no client was sent and none has left. */
static bool delivery_serve_one(Broker *b, Pool *p) {
        Client *c;

        if (p->n_queued == 0 || !balance_pick(p, NULL, loop_now(&b->loop)))
                return false;

        c = queue_pop(p);

        /* systemd must not start a worker for a client that has left. */
        if (client_is_gone(c)) {
                departure_gone(b, c);
                return true;
        }

        if (delivery_place(b, p, c) == PLACEMENT_DONE)
                return true;

        queue_enter(p, c, /* again= */ true);
        return false;
}

static void delivery_refuse_queue(Broker *b, Pool *p, Refusal why) {
        for (Client *c; (c = queue_pop(p));)
                delivery_refuse(b, c, why);
}

static void delivery_serve_pool(Broker *b, Pool *p) {
        while (delivery_serve_one(b, p))
                ;

        if (balance_is_lost(p, loop_now(&b->loop)))
                delivery_refuse_queue(b, p, REFUSAL_WORKER_GONE);

        queue_arm(p);
}

/*
 * True if no waiting pool may send to this worker. So thousands of pools need not be asked at each receipt. False if
 * the worker is drained or lost, because then the pools may have other workers.
 */
static bool delivery_is_full(const Worker *w) {
        return !w->is_drained && !worker_is_lost(w) && w->n_pending >= w->max_pending;
}

static void delivery_serve_worker(Broker *b, Worker *w) {
        bool ignores_max = b->generations.ignores_max_pending;

        /*
         * Ends after a whole round in which no pool could send. One pool is not enough, because each has its own
         * MaxPending=.
         */
        for (size_t n = w->n_waiting; n > 0 && (ignores_max || !delivery_is_full(w)) && !list_is_empty(&w->waiting);) {
                List *l = list_first(&w->waiting);
                Route *route = CONTAINER_OF(l, Route, waiting_link);

                /* The pool goes to the end, so that the next one has its turn first. */
                list_remove(l);
                list_append(&w->waiting, l);

                n = delivery_serve_one(b, route->pool) ? w->n_waiting : n - 1;
        }

        /* The worker may get no client for a while. The timers of its pools try again. */
        if (w->retry_at > 0)
                LIST_FOREACH(i, &w->waiting)
                        queue_arm(CONTAINER_OF(i, Route, waiting_link)->pool);
}

void delivery_serve(Broker *b) {
        for (List *l; (l = list_first(&b->workers.to_serve));) {
                list_remove(l);
                delivery_serve_worker(b, CONTAINER_OF(l, Worker, serve_link));
        }
}

void delivery_serve_all(Broker *b) {
        List *waiting = &b->generations.waiting;
        size_t n = 0;

        /* Each pool is served once. They are counted before, because serving one may take it out of the list. */
        LIST_FOREACH(i, waiting)
                n++;

        for (List *l; n > 0 && (l = list_first(waiting)); n--) {
                list_remove(l);
                list_append(waiting, l);
                delivery_serve_pool(b, CONTAINER_OF(l, Pool, waiting_link));
        }
}

void delivery_refuse_all(Broker *b, Refusal why) {
        for (List *l; (l = list_first(&b->generations.waiting));)
                delivery_refuse_queue(b, CONTAINER_OF(l, Pool, waiting_link), why);
}

void delivery_drop_all(Broker *b) {
        for (List *l; (l = list_first(&b->generations.waiting));)
                departure_drop(b, queue_pop(CONTAINER_OF(l, Pool, waiting_link)));
}

/*
 * Moves a client on after its flusher. The offer in which the flusher was called is over, so the client may go to any
 * worker.
 */
static void delivery_after_flush(Broker *b, Client *c, FlushResult r) {
        if (r == FLUSH_DONE)
                delivery_readmit(b, c);
        else
                delivery_end_flush(b, c, r);
}

static void delivery_go_on_flush(void *userdata, Client *c, const SocketTask *t) {
        Broker *b = userdata;
        FlushResult r = flush_continue(&b->flushes, c, t);

        b->n.n_flush_waits += r == FLUSH_WAIT;
        delivery_after_flush(b, c, r);
}

void delivery_on_flush_event(Broker *b, Client *c, uint32_t events) {
        delivery_after_flush(b, c, flush_on_event(&b->flushes, c, events));
}

void delivery_on_pool_timer(void *userdata) {
        Pool *p = userdata;
        Broker *b = p->routing->shared->userdata;

        for (Client *c; (c = queue_next_due(p));) {
                queue_leave(c);
                diag_client_expired(&b->diag, p);
                delivery_refuse(b, c, REFUSAL_TIMEOUT);
        }

        delivery_serve_pool(b, p);
}
