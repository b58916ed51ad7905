/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/stage/park.h"

static Client *park_client_of(Wait *w) {
        return w ? CONTAINER_OF(w, Client, wait) : NULL;
}

int park_init(Parking *p, Loop *loop, SourceTable *sources, TimerHandler on_timer, void *userdata) {
        p->loop = loop;
        p->sources = sources;
        waiting_init(&p->clients, &p->timer);
        return timer_init(&p->timer, loop, on_timer, userdata);
}

void park_done(Parking *p) {
        timer_done(&p->timer);
}

void park_enter(Parking *p, Client *c) {
        free(TAKE_PTR(c->copy)); /* after its next event the helper looks again */
        c->state = CLIENT_PARKED;
        waiting_add(&p->clients, &c->wait, usec_add(loop_now(p->loop), p->timeout));
        source_park(p->sources, c);
        p->n++;
}

void park_leave(Parking *p, Client *c) {
        waiting_remove(&c->wait);
        source_unpark(p->sources, c);
        p->n--;
        c->state = CLIENT_NEW;
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
