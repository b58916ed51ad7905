/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/stage/park.h"

static Client *park_client_of(Wait *w) {
        return w ? CONTAINER_OF(w, Client, wait) : NULL;
}

int park_init(Parking *p, Loop *loop, SourceTable *sources, TimerHandler on_timer, void *userdata) {
        p->loop = loop;
        p->sources = sources;
        p->limit = USEC_INFINITY;
        waiting_init(&p->clients, &p->timer);
        return timer_init(&p->timer, loop, on_timer, userdata);
}

void park_done(Parking *p) {
        timer_done(&p->timer);
}

static usec_t park_due(const Parking *p) {
        return usec_add(loop_now(p->loop), MIN(p->timeout, p->limit));
}

void park_enter(Parking *p, Client *c) {
        free(TAKE_PTR(c->copy)); /* after its next event the helper looks again */
        c->state = CLIENT_PARKED;
        waiting_add(&p->clients, &c->wait, park_due(p));
        source_park(p->sources, c);
        p->n++;
}

void park_leave(Parking *p, Client *c) {
        waiting_remove(&c->wait);
        source_unpark(p->sources, c);
        p->n--;
        c->state = CLIENT_NEW;
}

void park_limit(Parking *p, usec_t limit) {
        List old;

        p->limit = limit;
        list_init(&old);
        for (Wait *w; (w = waiting_first(&p->clients));) {
                waiting_remove(w);
                list_append(&old, &w->link);
        }

        LIST_FOREACH(l, &old) {
                list_remove(l);
                waiting_add(&p->clients, CONTAINER_OF(l, Wait, link), park_due(p));
        }
}

Client *park_oldest(const Parking *p) {
        return park_client_of(waiting_first(&p->clients));
}

Client *park_next_due(Parking *p) {
        return park_client_of(waiting_next_due(&p->clients, loop_now(p->loop)));
}

Client *park_surplus(const Parking *p) {
        if (p->n < p->max)
                return NULL;

        return source_fullest_oldest(p->sources) ?: park_oldest(p);
}
