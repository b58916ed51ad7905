/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/stage/queue.h"

#include "broker/state/source.h"

#define SWEEP_INTERVAL_USEC (1 * USEC_PER_SEC)

/* Clients that one call of queue_find_greedy() looks at. */
#define LOOK_MAX 64

void queue_arm(Pool *p) {
        usec_t now = loop_now(p->routing->shared->loop), at = USEC_INFINITY;

        if (p->n_queued == 0)
                return;

        if (!waiting_is_empty(&p->again))
                at = waiting_first(&p->again)->due;
        if (!waiting_is_empty(&p->queue))
                at = MIN(at, waiting_first(&p->queue)->due);

        /*
         * Worker.retry_at in the past needs no timer: the worker has MaxPending= clients, so its next receipt has the
         * queue served.
         */
        for (size_t i = 0; i < p->n_routes; i++)
                if (p->routes[i].worker->retry_at > now)
                        at = MIN(at, p->routes[i].worker->retry_at);

        timer_set(&p->timer, at);
}

static void queue_set_waiting(Pool *p, bool waiting) {
        if (list_is_linked(&p->waiting_link) == waiting)
                return;

        if (waiting)
                list_append(&p->routing->shared->waiting, &p->waiting_link);
        else
                list_remove(&p->waiting_link);

        for (size_t i = 0; i < p->n_routes; i++) {
                Route *route = &p->routes[i];
                Worker *w = route->worker;

                if (waiting) {
                        list_append(&w->waiting, &route->waiting_link);
                        w->max_pending = MAX(w->n_waiting++ > 0 ? w->max_pending : 0, route->config->max_pending);
                } else {
                        list_remove(&route->waiting_link);
                        w->n_waiting--;
                }
        }
}

void queue_enter(Pool *p, Client *c, bool again) {
        usec_t due = p->queue_timeout > 0 ? c->queue.expires_at : loop_now(p->routing->shared->loop);

        c->state = CLIENT_QUEUED;
        c->queue.has_waited = true;
        waiting_add(again ? &p->again : &p->queue, &c->wait, due);
        p->n_queued++;
        if (c->source)
                c->source->n_queued++;

        queue_set_waiting(p, true);
        queue_arm(p);
}

void queue_leave(Client *c) {
        Pool *p = c->pool;

        if (p->place_at == &c->wait.link)
                p->place_at = c->wait.link.prev;

        waiting_remove(&c->wait);
        c->state = CLIENT_NEW;
        p->n_queued--;
        if (c->source)
                c->source->n_queued--;

        if (p->n_queued == 0)
                queue_set_waiting(p, false);
}

Client *queue_pop(Pool *p) {
        Wait *w = waiting_first(&p->again) ?: waiting_first(&p->queue);
        Client *c;

        if (!w)
                return NULL;

        c = CONTAINER_OF(w, Client, wait);
        queue_leave(c);
        return c;
}

Client *queue_next_due(Pool *p) {
        usec_t now = loop_now(p->routing->shared->loop);
        Wait *w = waiting_next_due(&p->again, now) ?: waiting_next_due(&p->queue, now);

        return w ? CONTAINER_OF(w, Client, wait) : NULL;
}

bool queue_is_sweep_due(Pool *p) {
        usec_t now = loop_now(p->routing->shared->loop);

        if (now < p->swept_at + SWEEP_INTERVAL_USEC)
                return false;

        p->swept_at = now;
        return true;
}

Client *queue_find_greedy(Pool *p, const Client *c) {
        unsigned most = c->source->n_queued + 1;
        List *head = &p->queue.waits, *i = p->place_at;
        Client *found = NULL;

        for (size_t n = MIN(p->n_queued, (size_t) LOOK_MAX); n > 0; n--, i = i->prev) {
                Client *other;

                if (i == head)
                        i = i->prev;
                if (i == head)
                        break;

                other = CONTAINER_OF(i, Client, wait.link);
                if (other->source && other->source->n_queued > most) {
                        most = other->source->n_queued;
                        found = other;
                }
        }

        p->place_at = found ? &found->wait.link : i;
        return found;
}
