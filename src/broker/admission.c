/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/admission.h"

#include "broker/live.h"
#include "broker/state/source-rate.h"
#include "broker/state/watch.h"

/*
 * Descriptors that are kept for other things than clients: listeners, the loop, the log, units, persistent connections,
 * connections of senders. A sixteenth of all, within these bounds.
 */
#define FDS_RESERVED 128
#define FDS_RESERVED_MAX 512

/* Descriptors of a client that is not parked: its socket, and the connection to its worker. A parked client has one. */
#define FDS_PER_CLIENT 2

/* Time until listeners are turned on again after accept4(2) failed for lack of memory or descriptors. */
#define PAUSE_USEC (250 * USEC_PER_MSEC)

/* Time until listeners are turned on again if there is no place before the helper has closed some descriptors. */
#define PAUSE_CLOSING_USEC (10 * USEC_PER_MSEC)

static void admission_on_timer(void *userdata) {
        Broker *b = userdata;

        b->admission.pause_error = 0;
        admission_resume_if_possible(b);
}

int admission_init(Broker *b, size_t n_fds) {
        size_t reserved = MAX(MIN(n_fds / 16, (size_t) FDS_RESERVED_MAX), (size_t) FDS_RESERVED);

        b->admission.n_fds = MAX(n_fds, (size_t) FDS_RESERVED + FDS_PER_CLIENT) - reserved;
        b->admission.max_clients = b->admission.n_fds / FDS_PER_CLIENT;
        return timer_init(&b->admission.timer, &b->loop, admission_on_timer, b);
}

void admission_done(Admission *a) {
        timer_done(&a->timer);
}

void admission_set_max_clients(Broker *b, unsigned max_clients) {
        b->admission.max_clients = b->admission.n_fds / FDS_PER_CLIENT;
        if (max_clients > 0)
                b->admission.max_clients = MIN(b->admission.max_clients, (size_t) max_clients);

        admission_resume_if_possible(b);
}

/*
 * True if @l should be on. Return sockets stay on while receipts are awaited, because a worker may wait for the answer
 * to a client that it handed back before it gives a receipt.
 */
static bool admission_wants(const Broker *b, const Listener *l) {
        return !b->admission.is_paused && (l->is_return ? b->stop.phase != STOP_HANDOVER : !broker_is_stopping(b));
}

int admission_enable_listeners(Broker *b) {
        int r = 0;

        LIST_FOREACH(i, &b->listeners) {
                Listener *l = CONTAINER_OF(i, Listener, link);
                int k = watch_enable_listener(&b->loop, l, admission_wants(b, l));

                if (k < 0)
                        r = k;
        }

        return r;
}

void admission_pause(Broker *b, int error) {
        if (error < 0)
                timer_set(&b->admission.timer, usec_now() + PAUSE_USEC);
        else if (helper_n_pending(b->helper) > 0)
                timer_set(&b->admission.timer, usec_now() + PAUSE_CLOSING_USEC);

        b->admission.pause_error = error;
        b->admission.is_paused = true;
        b->admission.paused_at = loop_now(&b->loop);
        (void) admission_enable_listeners(b); /* turning off never fails */
        diag_paused(&b->diag, error, b->clients.n_used);
}

static void admission_resume(Broker *b) {
        int r;

        b->admission.is_paused = false;
        r = admission_enable_listeners(b);
        if (r < 0)
                admission_pause(b, r);
        else
                diag_resumed(&b->diag);
}

size_t admission_free_places(const Broker *b) {
        const Admission *a = &b->admission;
        size_t n_active = b->clients.n_used - b->parking.n;
        size_t n_fds = b->clients.n_used + n_active + helper_n_pending(b->helper); /* those are still open */

        if (n_active >= a->max_clients || n_fds >= a->n_fds)
                return 0;

        return MIN(a->max_clients - n_active, (a->n_fds - n_fds) / FDS_PER_CLIENT);
}

void admission_resume_if_possible(Broker *b) {
        if (!b->admission.is_paused || b->admission.pause_error != 0)
                return; /* after an error the timer resumes */

        /* Waits for more than one place, otherwise listeners would go on and off with each client. */
        if (admission_free_places(b) > b->admission.max_clients / 16)
                admission_resume(b);
        else if (helper_n_pending(b->helper) > 0) /* no event reports that the helper has closed one */
                timer_set(&b->admission.timer, usec_now() + PAUSE_CLOSING_USEC);
}

int admission_add_listener(Broker *b, Listener *l) {
        int r;

        r = own_sockets_add(&b->own_sockets, l->fd);
        if (r >= 0)
                r = watch_enable_listener(&b->loop, l, admission_wants(b, l));
        if (r < 0) {
                l->fd = -EBADF; /* @fd is not consumed */
                listener_free(l);
                return r;
        }

        list_append(&b->listeners, &l->link);
        return 0;
}

/* Returns MaxClientsPerSource=. Its default is a share of MaxClients=, and small enough for the default MaxQueued=. */
static unsigned admission_source_max(const Broker *b, const ListenerConfig *config) {
        return config->max_clients_per_source ?: MAX(MIN((unsigned) (b->admission.max_clients / 8), 512U), 16U);
}

bool admission_take_rate(Broker *b, Client *c) {
        Listener *l = c->listener;

        if (source_rates_count(l->rates, &c->address, loop_now(&b->loop)))
                return true;

        l->hits[REFUSAL_SOURCE_RATE] = (SourceHit){ c->address, l->config->source_rate };
        return false;
}

bool admission_has_connections_left(Broker *b, Client *c) {
        unsigned max = c->listener->config->max_connections_per_source;
        const Source *s;
        size_t n;

        if (max == 0 || !b->live || (c->address.sa.sa_family != AF_INET && c->address.sa.sa_family != AF_INET6))
                return true;

        s = source_find(&b->sources, &c->address);
        n = (s ? s->n_clients : 0) + (size_t) connection_count_source(b->live->table, source_hash(&c->address));
        if (n < max)
                return true;

        c->listener->hits[REFUSAL_SOURCE_BUSY] = (SourceHit){ c->address, { .n = max } };
        return false;
}

bool admission_take_source(Broker *b, Client *c) {
        unsigned max = admission_source_max(b, c->listener->config);

        if (source_get(&b->sources, c, max))
                return true;

        c->listener->hits[REFUSAL_SOURCE_FULL] = (SourceHit){ c->address, { .n = max } };
        return false;
}

Client *admission_source_surplus(const Broker *b, const Client *c) {
        unsigned max = admission_source_max(b, c->listener->config);

        if (!c->source)
                return NULL;

        /* A client of a return socket belongs to no public listener, so the smallest limit of all public ones holds. */
        LIST_FOREACH(i, &b->listeners)
                if (c->listener->is_return && !CONTAINER_OF(i, Listener, link)->is_return)
                        max = MIN(max, admission_source_max(b, CONTAINER_OF(i, Listener, link)->config));

        return c->source->n_clients > max ? source_oldest_parked(c->source) : NULL;
}
