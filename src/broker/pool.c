/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/pool.h"

#include "basic/hash.h"
#include "broker/balance.h"
#include "broker/broker.h"
#include "broker/diag.h"
#include "broker/flush.h"
#include "broker/offer.h"
#include "broker/refusal.h"
#include "broker/source.h"

/*
 * How long clients wait for a worker that can't be reached at all, before they are refused at once: a socket
 * unit that is being restarted costs no client, one that is stopped does not keep them hanging.
 */
#define GONE_GRACE_USEC (1 * USEC_PER_SEC)

/* A full queue is looked through for clients that have left at most this often. */
#define SWEEP_INTERVAL_USEC (1 * USEC_PER_SEC)

/* For a client that finds the queue full, at most this many others are looked at. */
#define PLACE_LOOK_MAX 64

/* place() */
enum {
        POOL_BUSY = 1, /* every worker has all that it may have, or is being left alone for a moment */
        POOL_GONE,     /* no worker could be reached for GONE_GRACE_USEC */
};

static void on_timer(void *userdata);

int pool_init(Pool *p, Routing *routing, Route *routes, size_t n_routes) {
        *p = (Pool){
                .broker = routing->broker,
                .routing = routing,
                .routes = routes,
                .n_routes = n_routes,
                .balance = routes[0].config->balance,
        };
        list_init(&p->again);
        list_init(&p->queue);
        list_init(&p->waiting_link);
        p->place_at = &p->queue;

        for (size_t i = 0; i < n_routes; i++) {
                routes[i].pool = p;
                routes[i].hash = hash_string(routes[i].worker->path);
                p->has_backup = p->has_backup || routes[i].config->backup;
                p->max_queued += routes[i].config->max_queued;
                p->queue_timeout = MAX(p->queue_timeout, routes[i].config->queue_timeout_usec);
        }

        return timer_init(&p->timer, p->broker, on_timer, p);
}

void pool_done(Pool *p) {
        diag_tell_pool(p);
        timer_done(&p->timer);
}

static usec_t first_deadline(const List *queue) {
        List *l = list_first(queue);

        return l ? CONTAINER_OF(l, Client, link)->deadline : USEC_INFINITY;
}

/* Sees to it that the pool is looked at when something becomes due: a deadline, or a worker's next try. */
static void timer_arm(Pool *p) {
        usec_t at, now;

        if (p->n_queued == 0)
                return;

        at = MIN(first_deadline(&p->again), first_deadline(&p->queue));

        /* A next try that is due already was not made because the window is full; a receipt ends that. */
        now = broker_now(p->broker);
        for (size_t i = 0; i < p->n_routes; i++)
                if (p->routes[i].worker->retry_at > now)
                        at = MIN(at, p->routes[i].worker->retry_at);

        timer_set(&p->timer, at);
}

static bool is_gone(const Pool *p, usec_t now) {
        for (size_t i = 0; i < p->n_routes; i++) {
                const Worker *w = p->routes[i].worker;

                if (!worker_is_lost(w) || now < usec_add(w->gone ? w->gone_since : w->hanging_since, GONE_GRACE_USEC))
                        return false;
        }

        return true;
}

/* Offers the client to one worker after the other, until one takes it. */
static int place(Pool *p, Client *c) {
        usec_t now = broker_now(p->broker);
        Route *route;

        /* Ends: a worker that did not take it is not ready any more. */
        while ((route = balance_pick(p, c, now)))
                if (offer(p->broker, route, c) == 0) {
                        balance_taken(p, route, now);
                        return 0;
                }

        return is_gone(p, now) ? POOL_GONE : POOL_BUSY;
}

static void set_waiting(Pool *p, bool waiting) {
        if (list_is_linked(&p->waiting_link) == waiting)
                return;

        if (waiting)
                list_append(&p->broker->waiting, &p->waiting_link);
        else
                list_remove(&p->waiting_link);

        for (size_t i = 0; i < p->n_routes; i++) {
                Route *route = &p->routes[i];
                Worker *w = route->worker;

                if (waiting) {
                        list_append(&w->waiting, &route->waiting_link);
                        w->window = MAX(w->n_waiting++ > 0 ? w->window : 0, route->config->max_pending);
                } else {
                        list_remove(&route->waiting_link);
                        w->n_waiting--;
                }
        }
}

/* Those who were handed out before go first. Both lists have the earliest deadline in front. */
static void enqueue(Pool *p, Client *c, bool again) {
        c->state = CLIENT_QUEUED;
        client_insert_by_deadline(again ? &p->again : &p->queue, c);
        p->n_queued++;
        if (c->source)
                c->source->n_queued++;

        set_waiting(p, true);
        timer_arm(p);
}

/* The first one that waits has all workers looked at once more, because one may become free in this turn. */
static void begin_to_wait(Pool *p, Client *c, bool again) {
        bool is_first = p->n_queued == 0;

        enqueue(p, c, again);
        for (size_t i = 0; is_first && i < p->n_routes; i++)
                worker_serve_later(&p->broker->workers, p->routes[i].worker);
}

void pool_leave_queue(Client *c) {
        Pool *p = c->pool;

        if (p->place_at == &c->link)
                p->place_at = c->link.prev;

        list_remove(&c->link);
        c->state = CLIENT_NEW;
        p->n_queued--;
        if (c->source)
                c->source->n_queued--;

        if (p->n_queued == 0)
                set_waiting(p, false);
}

static Client *dequeue(Pool *p) {
        List *l = list_first(&p->again) ?: list_first(&p->queue);

        if (!l)
                return NULL;

        Client *c = CONTAINER_OF(l, Client, link);

        pool_leave_queue(c);
        return c;
}

/* Clients that have left must not keep the places of those who come. */
static void sweep(Pool *p) {
        usec_t now = broker_now(p->broker);

        if (now < p->swept_at + SWEEP_INTERVAL_USEC)
                return;

        p->swept_at = now;
        LIST_FOREACH(i, &p->queue) {
                Client *c = CONTAINER_OF(i, Client, link);

                if (!client_is_gone(c))
                        continue;

                pool_leave_queue(c);
                p->broker->n.n_gone++;
                broker_drop(p->broker, c);
        }
}

/* Fallback= may name a route that names one itself; so many are tried. */
#define FAILURES_MAX 4

/* This pool has no worker for the client: Fallback= says what becomes of it. */
static void refuse(Client *c, Refusal why) {
        Pool *p = c->pool;

        if (p->failure_pool && c->n_failures < FAILURES_MAX && why != REFUSAL_STOPPING) {
                c->n_failures++;
                c->deadline = 0;
                pool_release(c);
                pool_admit(p->failure_pool, c);
        } else if (p->routes[0].config->fallback == FALLBACK_CLOSE)
                refusal_close(p->broker, c, why);
        else
                refusal_send(p->broker, c, why, PROBE_REASON_NONE);
}

static void refuse_full(Pool *p, Client *c) {
        diag_queue_full(p);
        refuse(c, REFUSAL_QUEUE_FULL);
}

/*
 * The client whose source has the most clients in queues, of the next PLACE_LOOK_MAX ones of the queue, from the newest on.
 * NULL if none has so many more than the source of @c that the exchange would even them out.
 */
static Client *pool_find_greedy(Pool *p, const Client *c) {
        unsigned most = c->source->n_queued + 1;
        Client *found = NULL;
        List *i = p->place_at;

        for (size_t n = MIN(p->n_queued, (size_t) PLACE_LOOK_MAX); n > 0; n--, i = i->prev) {
                Client *other;

                if (i == &p->queue)
                        i = i->prev;
                if (i == &p->queue)
                        break;

                other = CONTAINER_OF(i, Client, link);
                if (other->source && other->source->n_queued > most) {
                        most = other->source->n_queued;
                        found = other;
                }
        }

        p->place_at = found ? &found->link : i;
        return found;
}

/* Refuses a client of a source with more clients, in favour of @c. Otherwise two addresses could keep a queue full. */
static bool pool_make_place(Pool *p, const Client *c) {
        Client *greedy = c->source ? pool_find_greedy(p, c) : NULL;

        if (!greedy)
                return false;

        pool_leave_queue(greedy);
        refuse_full(p, greedy);
        return true;
}

/* Whatever its units say, one pool leaves half of the room to the others. */
static bool has_its_share(const Pool *p) {
        return p->n_clients > MAX(p->broker->max_clients / 2, (size_t) 1);
}

void pool_admit(Pool *p, Client *c) {
        int r = POOL_BUSY;

        c->pool = p;
        p->n_clients++;
        routing_ref(p->routing);

        if ((c->baggage || c->status != 0) && !flush_can_take(p->broker, p, c)) {
                refuse(c, REFUSAL_WORKER);
                return;
        }

        if (has_its_share(p) && !pool_make_place(p, c)) {
                refuse_full(p, c);
                return;
        }

        c->expires_at = p->queue_timeout > 0 ? usec_add(broker_now(p->broker), p->queue_timeout) : USEC_INFINITY;

        /* Nobody overtakes those who wait. */
        if (p->n_queued == 0)
                r = place(p, c);

        if (r == POOL_BUSY && p->n_queued >= p->max_queued)
                sweep(p);

        if (r == POOL_GONE)
                refuse(c, REFUSAL_WORKER_GONE);
        else if (r == POOL_BUSY && p->n_queued >= p->max_queued && !pool_make_place(p, c))
                refuse_full(p, c);
        else if (r == POOL_BUSY) {
                c->deadline = usec_add(broker_now(p->broker), p->queue_timeout);
                begin_to_wait(p, c, /* again= */ false);
        }
}

void pool_release(Client *c) {
        Pool *p = TAKE_PTR(c->pool);

        if (!p)
                return;

        c->route = NULL; /* it goes with its generation */
        p->n_clients--;
        routing_unref(p->routing);
}

void pool_readmit(Client *c) {
        Pool *p = c->pool;
        usec_t now = broker_now(p->broker);
        int r;

        if (c->expires_at <= now) {
                diag_client_expired(p);
                refuse(c, REFUSAL_TIMEOUT);
                return;
        }

        c->deadline = p->queue_timeout > 0 ? c->expires_at : now; /* without a wait it may be tried once more */

        r = place(p, c);
        if (r == POOL_GONE)
                refuse(c, REFUSAL_WORKER_GONE);
        else if (r == POOL_BUSY)
                /* It was counted in before: MaxQueued= is for those who come. */
                begin_to_wait(p, c, /* again= */ true);
}

/* Hands out the first of the queue. False where it has to go on waiting, or there is none. */
static bool dispatch_one(Pool *p) {
        Client *c;

        if (p->n_queued == 0 || !balance_pick(p, NULL, broker_now(p->broker)))
                return false;

        c = dequeue(p);

        /* No worker should be started, or bothered, for somebody who has left. */
        if (client_is_gone(c)) {
                p->broker->n.n_gone++;
                broker_drop(p->broker, c);
                return true;
        }

        if (place(p, c) == 0)
                return true;

        enqueue(p, c, /* again= */ true);
        return false;
}

void pool_refuse_all(Pool *p, Refusal why) {
        Client *c;

        while ((c = dequeue(p)))
                refuse(c, why);
}

void pool_drop_all(Pool *p) {
        Client *c;

        while ((c = dequeue(p)))
                broker_drop(p->broker, c);
}

void pool_dispatch(Pool *p) {
        while (dispatch_one(p))
                ;

        if (is_gone(p, broker_now(p->broker)))
                pool_refuse_all(p, REFUSAL_WORKER_GONE);

        timer_arm(p);
}

/*
 * Nobody who waits for it can be sent there: thousands of pools need not be asked at each receipt. Where it is gone, or
 * not to be used, they may have others.
 */
static bool is_full(const Worker *w) {
        return !w->drained && !worker_is_lost(w) && w->n_pending >= w->window;
}

static void serve(Broker *b, Worker *w) {
        /* Until nobody of a whole round could be served: each pool has its own MaxPending=. */
        for (size_t n = w->n_waiting; n > 0 && (b->stopping || !is_full(w)) && !list_is_empty(&w->waiting);) {
                List *l = list_first(&w->waiting);
                Route *route = CONTAINER_OF(l, Route, waiting_link);

                /* To the end, for the next pool's turn. */
                list_remove(l);
                list_append(&w->waiting, l);

                n = dispatch_one(route->pool) ? w->n_waiting : n - 1;
        }

        /* It is free, but to be left alone for a moment: nobody else would wake them up. */
        if (w->retry_at > 0)
                LIST_FOREACH(i, &w->waiting)
                        timer_arm(CONTAINER_OF(i, Route, waiting_link)->pool);
}

void pool_serve(Broker *b) {
        for (List *l; (l = list_first(&b->workers.to_serve));) {
                list_remove(l);
                serve(b, CONTAINER_OF(l, Worker, serve_link));
        }
}

void pool_drain_worker(Broker *b, Worker *w, bool drained) {
        if (w->drained == drained)
                return;

        w->drained = drained;

        /* Those who wait for it may now have another one: a backup, say. */
        worker_serve_later(&b->workers, w);
}

static void expire(Pool *p, List *queue, usec_t now) {
        while (first_deadline(queue) <= now) {
                Client *c = CONTAINER_OF(list_first(queue), Client, link);

                pool_leave_queue(c);
                diag_client_expired(p);
                refuse(c, REFUSAL_TIMEOUT);
        }
}

static void on_timer(void *userdata) {
        Pool *p = userdata;

        expire(p, &p->again, broker_now(p->broker));
        expire(p, &p->queue, broker_now(p->broker));
        pool_dispatch(p);
}
