/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/park.h"

#include <sys/epoll.h>

#include "broker/broker.h"
#include "broker/head.h"

static void park_arm(Parking *p) {
        List *l = list_first(&p->clients);

        if (l)
                timer_set(&p->timer, CONTAINER_OF(l, Client, link)->deadline);
}

void park_leave(Broker *b, Client *c) {
        list_remove(&c->link);
        source_unpark(&b->sources, c);
        b->n_parked--;
        c->state = CLIENT_NEW;
}

/* It is between two requests: a server may close such a connection at any time (RFC 9112 9.5). */
static void park_evict(Broker *b, Client *c) {
        park_leave(b, c);
        b->n.n_gone++;
        broker_drop(b, c);
}

bool park_evict_of(Broker *b, const Source *s) {
        Client *oldest = source_oldest_parked(s);

        if (!oldest)
                return false;

        park_evict(b, oldest);
        return true;
}

/*
 * A source with more clients than MaxClientsPerSource= gives up its own oldest one. If all places are taken, the source with
 * the most parked clients does: one source must not end the connections of others.
 */
static void park_make_place(Broker *b, const Client *newcomer) {
        Client *oldest;

        while (newcomer->source && !broker_source_has_room(b, newcomer) && park_evict_of(b, newcomer->source))
                ;

        if (b->n_parked < b->max_parked)
                return;

        oldest = source_fullest_oldest(&b->sources);
        if (oldest)
                park_evict(b, oldest);
        else
                (void) park_evict_oldest(b);
}

void park(Broker *b, Client *c) {
        if (!b->stopping) /* a client of a stopping broker goes to the next process with all others */
                park_make_place(b, c);

        free(TAKE_PTR(c->copy)); /* the helper looks again when the client says something */
        c->state = CLIENT_PARKED;
        c->deadline = usec_add(broker_now(b), b->park_timeout_usec);
        client_insert_by_deadline(&b->parking.clients, c);
        source_park(&b->sources, c);
        b->n_parked++;
        park_arm(&b->parking);
}

void park_on_event(Broker *b, Client *c, uint32_t events) {
        park_leave(b, c);

        if (events & EPOLLHUP) {
                b->n.n_gone++;
                broker_drop(b, c);
        } else {
                c->has_ended = events & EPOLLRDHUP;
                head_begin(b, c);
        }
}

static void park_on_timer(void *userdata) {
        Broker *b = userdata;
        usec_t now = broker_now(b);
        List *l;

        while ((l = list_first(&b->parking.clients)) && CONTAINER_OF(l, Client, link)->deadline <= now)
                park_evict(b, CONTAINER_OF(l, Client, link));

        park_arm(&b->parking);
}

bool park_evict_oldest(Broker *b) {
        List *l = list_first(&b->parking.clients);

        if (!l)
                return false;

        park_evict(b, CONTAINER_OF(l, Client, link));
        return true;
}

int park_init(Broker *b) {
        list_init(&b->parking.clients);
        return timer_init(&b->parking.timer, b, park_on_timer, b);
}
