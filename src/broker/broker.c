/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/broker.h"

#include "broker/admission.h"
#include "broker/arrival.h"
#include "broker/delivery.h"
#include "broker/departure.h"
#include "broker/dispatch.h"
#include "broker/handback.h"
#include "broker/live.h"
#include "broker/settlement.h"
#include "broker/state/source-rate.h"
#include "broker/state/watch.h"
#include "broker/stop.h"
#include "handoff/handoff.h"

/* Sets the objects that stages borrow from each other. */
static void broker_link_stages(Broker *b) {
        b->generations = (RoutingShared){
                .loop = &b->loop,
                .workers = &b->workers,
                .on_pool_timer = delivery_on_pool_timer,
                .userdata = b,
        };
        list_init(&b->generations.waiting);
        list_init(&b->generations.retired);

        b->persistent = (PersistentTable){
                .loop = &b->loop,
                .diag = &b->diag,
                .workers = &b->workers,
                .head_buffer = &b->head_buffer,
                .seal_key = &b->seal_key,
        };
        persistent_table_init(&b->persistent);

        b->inspect = (Inspect){
                .loop = &b->loop,
                .clients = &b->clients,
                .workers = &b->workers,
                .diag = &b->diag,
                .userdata = b,
        };
        inspect_init(&b->inspect);

        b->flushes = (Flushes){ .loop = &b->loop, .diag = &b->diag, .head_buffer = &b->head_buffer };
        b->offers = (Offers){
                .diag = &b->diag,
                .clients = &b->clients,
                .head_buffer = &b->head_buffer,
                .own_sockets = &b->own_sockets,
                .receipts = &b->receipts,
                .persistent = &b->persistent,
                .flushes = &b->flushes,
                .seal_key = &b->seal_key,
                .proxied = &b->proxied,
        };
        ways_back_init(&b->ways_back);
}

static int broker_init_stages(Broker *b) {
        int r;

        r = park_init(&b->parking, &b->loop, &b->sources, departure_on_park_timer, b);
        if (r >= 0)
                r = flush_init(&b->flushes, departure_on_flush_timer, b);
        if (r >= 0)
                r = receipts_init(&b->receipts, &b->loop, settlement_on_timer, b);
        if (r >= 0)
                r = linger_init(&b->linger, &b->loop, departure_on_linger_timer, b);
        if (r >= 0)
                r = stop_init(b);

        return r;
}

int broker_new(sd_event *event, Log *log, size_t n_fds, Broker **ret) {
        _cleanup_(broker_freep) Broker *b = calloc(1, sizeof(*b));
        int r;

        if (!b)
                return -ENOMEM;

        list_init(&b->listeners);
        list_init(&b->diag.held);
        worker_table_init(&b->workers);
        broker_link_stages(b);

        r = loop_init(&b->loop, event);
        if (r >= 0)
                r = diag_init(&b->diag, &b->loop, log);
        if (r >= 0)
                r = admission_init(b, n_fds);
        if (r >= 0)
                r = client_table_init(&b->clients, b->admission.n_fds);
        if (r >= 0)
                r = source_table_init(&b->sources, b->clients.n_slots);
        if (r >= 0)
                r = seal_key_init(&b->seal_key);
        if (r >= 0)
                r = broker_init_stages(b);
        if (r < 0)
                return r;

        b->generations.generation = b->clients.instance; /* another one than the last process had */
        *ret = TAKE_PTR(b);
        return 0;
}

int broker_set_helper(Broker *b, Helper *helper) {
        b->helper = b->clients.helper = b->inspect.helper = b->persistent.helper = helper;
        return inspect_watch(&b->inspect);
}

static void broker_drop_clients(Broker *b) {
        persistent_send_all(&b->persistent);
        delivery_drop_all(b);
        for (size_t i = 0; i < b->clients.n_touched; i++) {
                Client *c = &b->clients.slots[i];

                if (c->state == CLIENT_PENDING && !c->sent.is_expired && c->sent.route)
                        live_note(b, c); /* systemd keeps it in the worker's backlog */
                if (c->state != CLIENT_FREE)
                        departure_drop(b, c);
        }
}

static void broker_free_listeners(Broker *b) {
        LIST_FOREACH(i, &b->listeners) {
                Listener *l = CONTAINER_OF(i, Listener, link);

                (void) watch_enable_listener(&b->loop, l, false);
                listener_free(l);
        }
}

Broker *broker_free(Broker *b) {
        if (!b)
                return NULL;

        b->admission.is_paused = false; /* so no listener is turned on again */
        diag_write_held(&b->diag);

        if (b->clients.slots)
                broker_drop_clients(b);
        client_table_done(&b->clients);
        handback_done(b);
        broker_free_listeners(b);
        source_table_done(&b->sources);
        proxied_done(&b->proxied);
        routing_unref(b->routing);
        dispatch_reap(b);
        live_free(b);
        head_buffer_done(&b->head_buffer);
        own_sockets_done(&b->own_sockets);
        helper_turn(b->helper);

        receipts_done(&b->receipts);
        linger_done(&b->linger);
        park_done(&b->parking);
        flush_done(&b->flushes);
        admission_done(&b->admission);
        stop_done(&b->stop);
        diag_done(&b->diag);
        loop_done(&b->loop);
        free(b);
        return NULL;
}

int broker_add_listener(Broker *b, const char *name, int fd) {
        Listener *l;
        int r;

        (void) handoff_refuse_rights(fd); /* a client over AF_UNIX could send descriptors, and no route wants them */
        r = listener_new(&b->loop, name, fd, SOCK_STREAM, &arrival_handlers, b, &l);
        if (r < 0)
                return r;

        return admission_add_listener(b, l);
}

/* Warns about values of Listener= that name no listener, because they are most likely misspelt. */
static void broker_check_listeners(Broker *b) {
        const Config *config = b->routing->config;
        const RouteConfig *example = NULL;
        const char *name = NULL;
        size_t n = 0;

        for (size_t i = 0; i < config->n_routes; i++)
                for (char **l = config->routes[i].match.listeners; l && *l; l++)
                        if (!listener_find(&b->listeners, slice_from_string(*l)) && n++ == 0) {
                                example = &config->routes[i];
                                name = *l;
                        }

        if (example)
                diag_unknown_listener(&b->diag, example, name, n);
}

/*
 * Warns about settings that have no effect. A pool has one flusher, because a flushed client may go to any worker of
 * the pool.
 */
static void broker_check_pools(Broker *b) {
        const Routing *routing = b->routing;

        for (size_t i = 0; i < routing->n_pools; i++) {
                const Pool *p = &routing->pools[i];

                if (p->config->fallback == FALLBACK_ROUTE && !p->fallback_pool)
                        diag_unknown_fallback(&b->diag, p->config);

                for (size_t k = 1; k < p->n_routes; k++)
                        if (!route_config_flushes_alike(p->config, p->routes[k].config))
                                diag_flushers_differ(&b->diag, p->config, p->routes[k].config);
        }
}

/* Enlarges the head buffer for the largest head of any listener, and for the longest PROXY header. */
static int broker_reserve_head_buffer(Broker *b, const Config *config) {
        size_t n = MAX((size_t) config->listener_default.max_head_size,
                       (size_t) PROXY_V2_HEADER_SIZE + PROXY_V2_LENGTH_MAX);

        for (size_t i = 0; i < config->n_listeners; i++)
                n = MAX(n, (size_t) config->listeners[i].max_head_size);

        return head_buffer_reserve(&b->head_buffer, n);
}

/* Makes the tables of RateLimitPerSource= that the listeners lack. broker_configure_listeners() frees the others. */
static int broker_reserve_rates(Broker *b, const Config *config) {
        int r = 0;

        LIST_FOREACH(i, &b->listeners) {
                Listener *l = CONTAINER_OF(i, Listener, link);

                if (r >= 0 && config_listener(config, l->name)->source_rate.n > 0)
                        r = source_rates_reserve(&l->rates);
        }

        return r;
}

static void broker_configure_listeners(Broker *b, const Routing *routing) {
        LIST_FOREACH(i, &b->listeners) {
                Listener *l = CONTAINER_OF(i, Listener, link);

                l->config = config_listener(routing->config, l->name);
                source_rates_set(&l->rates, &l->config->source_rate);
                l->needs_bytes = routing_needs_head(routing, l);
                l->needs_head = l->needs_bytes || (!l->is_return && l->config->proxy_protocol != PROXY_PROTOCOL_NO);
        }
}

int broker_set_config(Broker *b, Config *config) {
        const BrokerConfig *settings = &config->broker;
        Routing *routing;
        int r;

        r = broker_reserve_head_buffer(b, config);
        if (r >= 0)
                r = broker_reserve_rates(b, config);
        if (r < 0)
                return r;

        r = routing_new(&b->generations, config, &routing);
        if (r < 0)
                return r;

        broker_configure_listeners(b, routing);
        routing_unref(b->routing);
        b->routing = routing;
        b->n.n_loaded++;
        broker_check_pools(b);
        broker_check_listeners(b);

        b->diag.log_handoffs = settings->log_handoffs;
        b->parking.timeout = settings->park_timeout_usec;
        b->parking.max = settings->max_parked ?: b->clients.n_slots / 4;
        stop_watch_idle(b);
        admission_set_max_clients(b, settings->max_clients);
        live_configure(b);
        dispatch_reap(b);
        return 0;
}

int broker_turn(Broker *b, usec_t timeout) {
        return dispatch_turn(b, timeout);
}

int broker_run(Broker *b) {
        return dispatch_run(b);
}

void broker_stop(Broker *b) {
        stop_begin(b);
}

void broker_try_pool(Broker *b, Pool *p) {
        for (size_t i = 0; i < p->n_routes; i++)
                if (offer_try(&b->offers, &p->routes[i]))
                        worker_serve_later(&b->workers, p->routes[i].worker);
}

void broker_drain_worker(Broker *b, Worker *w, bool is_drained) {
        if (w->is_drained == is_drained)
                return;

        w->is_drained = is_drained;
        handback_tell_drains(b);
        worker_serve_later(&b->workers, w); /* its queued clients may have another worker now */
}
