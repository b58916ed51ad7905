/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/broker.h"

#include <sys/random.h>
#include <sys/socket.h>

#include "basic/fd.h"
#include "broker/channel.h"
#include "broker/diag.h"
#include "broker/flush.h"
#include "broker/handback.h"
#include "broker/handover.h"
#include "broker/head.h"
#include "broker/listener.h"
#include "broker/pool.h"
#include "broker/reach.h"
#include "broker/refusal.h"
#include "broker/routing.h"

/* Descriptors for everything but clients: listeners, event loop, log, reading units, and some to spare. */
#define FDS_RESERVED 128
#define FDS_RESERVED_MAX 512

/* A client on its way holds two: its own, and the connection to its worker. One that is parked holds the first. */
#define FDS_PER_CLIENT 2

/* While accepting fails for want of something, it is tried again this often. */
#define PAUSE_USEC (250 * USEC_PER_MSEC)

/* While only descriptors that are to be closed take the room. */
#define PAUSE_CLOSING_USEC (10 * USEC_PER_MSEC)

/*
 * How long a stopping broker waits for receipts. What has none then is in a backlog, which systemd holds. New clients
 * wait for the next broker all the while, in a backlog that is full some time.
 */
#define STOP_WAIT_USEC (1 * USEC_PER_SEC)

/* How long it waits for the rest of a client's head, where it can't leave that to the next process. */
#define STOP_HEAD_USEC (500 * USEC_PER_MSEC)

static void on_pause_timer(void *userdata);
static void on_stop_timer(void *userdata);
static void on_idle_timer(void *userdata);

/* Channels and peers of both sockets may have some hundred, where there are so many. */
static size_t fds_reserved(size_t n_fds) {
        return MAX(MIN(n_fds / 16, (size_t) FDS_RESERVED_MAX), (size_t) FDS_RESERVED);
}

int broker_new(sd_event *event, Log *log, size_t n_fds, Broker **ret) {
        _cleanup_(broker_freep) Broker *b = calloc(1, sizeof(*b));
        int r;

        if (!b)
                return -ENOMEM;

        b->log = log;
        b->exit_idle_usec = USEC_INFINITY;
        b->event = sd_event_ref(event);
        b->watch.epoll_fd = -EBADF;
        pace_init(&b->pace);
        list_init(&b->listeners);
        list_init(&b->waiting);
        list_init(&b->refused);
        list_init(&b->retired);
        worker_table_init(&b->workers);
        channels_init(&b->channels);
        judge_init(&b->judge);
        list_init(&b->flushing);

        b->n_fds = MAX(n_fds, (size_t) FDS_RESERVED + FDS_PER_CLIENT) - fds_reserved(n_fds);
        r = client_table_init(&b->clients, b->n_fds);
        if (r < 0)
                return r;

        b->max_clients = b->n_fds / FDS_PER_CLIENT;

        r = source_table_init(&b->sources, b->clients.n_slots);
        if (r < 0)
                return r;

        if (getrandom(&b->instance, sizeof(b->instance), 0) != sizeof(b->instance))
                return -errno;
        b->clients.instance = b->instance;

        r = watch_init(&b->watch, b, event);
        if (r < 0)
                return r;

        r = receipts_init(&b->receipts, b);
        if (r < 0)
                return r;

        r = refusal_timer_add(b);
        if (r < 0)
                return r;

        r = park_init(b);
        if (r < 0)
                return r;

        r = diag_timer_add(b);
        if (r < 0)
                return r;

        r = flush_timer_add(b);
        if (r < 0)
                return r;

        r = timer_init(&b->pause_timer, b, on_pause_timer, b);
        if (r < 0)
                return r;

        r = timer_init(&b->stop_timer, b, on_stop_timer, b);
        if (r < 0)
                return r;

        r = timer_init(&b->idle_timer, b, on_idle_timer, b);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(b);
        return 0;
}

int broker_set_helper(Broker *b, Helper *helper) {
        b->helper = b->clients.helper = helper;
        return judge_watch(b);
}

static void reap(Broker *b) {
        if (list_is_empty(&b->channels.ended) && list_is_empty(&b->retired) && list_is_empty(&b->workers.unused))
                return;

        channels_reap(b);
        for (List *l; (l = list_first(&b->retired));)
                routing_reap(CONTAINER_OF(l, Routing, link));
        worker_table_reap(&b->workers);
}

/*
 * Each step may make work for the others. The loop ends because a persistent connection that failed gets no more clients,
 * and a worker that did not take a client backs off until a later turn.
 */
void broker_finish_turn(Broker *b) {
        while (!list_is_empty(&b->channels.full) || !list_is_empty(&b->channels.settled) ||
               !list_is_empty(&b->workers.to_serve) || judge_is_due(&b->judge)) {
                channels_flush(b);
                channels_settle(b);
                if (judge_is_due(&b->judge))
                        judge_run(b);
                pool_serve(b);
        }

        reap(b);
}

Broker *broker_free(Broker *b) {
        if (!b)
                return NULL;

        b->paused = b->stopping = false; /* nothing is to be turned on again by what ends here */
        diag_tell_all(b);

        channels_flush(b);

        for (List *l; (l = list_first(&b->waiting));)
                pool_drop_all(CONTAINER_OF(l, Pool, waiting_link));

        for (size_t i = 0; i < b->clients.n_touched; i++)
                if (b->clients.slots[i].state != CLIENT_FREE)
                        broker_drop(b, &b->clients.slots[i]);
        client_table_done(&b->clients);

        handback_done(b);
        LIST_FOREACH(i, &b->listeners)
                listener_free(CONTAINER_OF(i, Listener, link));

        receipts_done(&b->receipts);
        watch_done(&b->watch);
        source_table_done(&b->sources);
        routing_unref(b->routing);
        reap(b);
        free(b->scratch);
        helper_turn(b->helper);
        free(b->own_sockets);

        timer_done(&b->refused_timer);
        timer_done(&b->parking.timer);
        timer_done(&b->diag_timer);
        timer_done(&b->flush_timer);
        timer_done(&b->pause_timer);
        timer_done(&b->stop_timer);
        timer_done(&b->idle_timer);
        sd_event_unref(b->event);
        free(b);
        return NULL;
}

uint8_t *broker_scratch(Broker *b) {
        b->seen_id = 0;
        return b->scratch;
}

const Probe *broker_probe(Broker *b, const Client *c) {
        uint8_t *p;
        ssize_t n;

        if (b->seen_id == c->id)
                return &b->seen;

        p = broker_scratch(b);
        n = client_peek(c, p, b->scratch_size);
        if (n <= 0 || probe_client(p, (size_t) n, b->scratch_size, &b->seen) != PROBE_MATCH)
                return NULL;

        b->seen_id = c->id;
        return &b->seen;
}

usec_t broker_now(const Broker *b) {
        /* Within one turn of the loop the time stands still. Before the first one there is none. */
        return b->now ?: usec_now();
}

/* Workers hand back until the last receipt is there: the one who owes it may be waiting for the answer to that. */
static bool is_wanted(const Broker *b, const Listener *l) {
        return !b->paused && (l->carries ? !b->left_to_next : !b->stopping);
}

int broker_enable_listeners(Broker *b) {
        int r = 0;

        LIST_FOREACH(i, &b->listeners) {
                Listener *l = CONTAINER_OF(i, Listener, link);
                int k = listener_enable(l, is_wanted(b, l));

                if (k < 0)
                        r = k;
        }

        return r;
}

void broker_pause(Broker *b, int error) {
        if (error < 0)
                timer_set(&b->pause_timer, usec_now() + PAUSE_USEC);
        else if (helper_n_pending(b->helper) > 0)
                timer_set(&b->pause_timer, usec_now() + PAUSE_CLOSING_USEC);

        b->pause_error = error;
        b->paused = true;
        (void) broker_enable_listeners(b); /* turning off needs nothing */
        diag_paused(b, error);
}

static void resume(Broker *b) {
        int r;

        b->paused = false;
        r = broker_enable_listeners(b);
        if (r < 0)
                broker_pause(b, r);
        else
                diag_resumed(b);
}

/* Descriptors that wait for the helper count as well: they are open. */
size_t broker_room(const Broker *b) {
        size_t n_active = b->clients.n_used - b->n_parked;
        size_t n_fds = b->clients.n_used + n_active + helper_n_pending(b->helper);

        if (n_active >= b->max_clients || n_fds >= b->n_fds)
                return 0;

        return MIN(b->max_clients - n_active, (b->n_fds - n_fds) / FDS_PER_CLIENT);
}

/* After a failure it is the timer that tries again. No event tells that the helper has closed something: the timer looks. */
static void resume_if_room(Broker *b) {
        if (!b->paused || b->pause_error != 0)
                return;

        /* A little more than where they went off, so that it does not flap. */
        if (broker_room(b) > b->max_clients / 16)
                resume(b);
        else if (helper_n_pending(b->helper) > 0)
                timer_set(&b->pause_timer, usec_now() + PAUSE_CLOSING_USEC);
}

static void on_pause_timer(void *userdata) {
        Broker *b = userdata;

        b->pause_error = 0;
        resume_if_room(b);
}

Listener *broker_find_listener(const Broker *b, Slice name) {
        LIST_FOREACH(i, &b->listeners) {
                Listener *l = CONTAINER_OF(i, Listener, link);

                if (slice_equal(slice_from_string(l->name), name))
                        return l;
        }

        return NULL;
}

/* Says so where routes wait for clients of a listener that is not there, most likely for its misspelt name. */
static void check_listeners(Broker *b) {
        const Config *config = b->routing->config;
        const RouteConfig *example = NULL;
        const char *name = NULL;
        size_t n = 0;

        for (size_t i = 0; i < config->n_routes; i++)
                for (char **l = config->routes[i].match.listeners; l && *l; l++)
                        if (!broker_find_listener(b, slice_from_string(*l)) && n++ == 0) {
                                example = &config->routes[i];
                                name = *l;
                        }

        if (example)
                diag_unknown_listener(b, example, name, n);
}

int broker_link_listener(Broker *b, Listener *l) {
        int r;

        r = reach_add_own(b, l->fd);
        if (r >= 0)
                r = listener_enable(l, is_wanted(b, l));
        if (r < 0) {
                l->fd = -EBADF; /* still the caller's */
                listener_free(l);
                return r;
        }

        list_append(&b->listeners, &l->link);
        return 0;
}

int broker_add_listener(Broker *b, const char *name, int fd) {
        Listener *l;
        int r;

        r = listener_new(b, name, fd, &l);
        if (r < 0)
                return r;

        return broker_link_listener(b, l);
}

/* One buffer for the largest head that any listener allows. It never shrinks. */
static int make_scratch(Broker *b, const Config *config) {
        size_t n = MAX((size_t) config->listener_default.max_head_size,
                       (size_t) PROXY_V2_HEADER_SIZE + PROXY_V2_LENGTH_MAX);
        uint8_t *scratch;

        for (size_t i = 0; i < config->n_listeners; i++)
                n = MAX(n, (size_t) config->listeners[i].max_head_size);

        if (n <= b->scratch_size)
                return 0;

        scratch = realloc(broker_scratch(b), n);
        if (!scratch)
                return -ENOMEM;

        b->scratch = scratch;
        b->scratch_size = n;
        return 0;
}

/* systemd starts the next broker with the next client. */
static void watch_idle(Broker *b) {
        timer_off(&b->idle_timer);
        if (b->exit_idle_usec == 0 || b->exit_idle_usec == USEC_INFINITY)
                return;

        b->idle_n_accepted = b->n.n_accepted;
        timer_set(&b->idle_timer, usec_add(usec_now(), b->exit_idle_usec));
}

int broker_set_config(Broker *b, Config *config) {
        Routing *routing;
        int r;

        r = make_scratch(b, config);
        if (r < 0)
                return r;

        r = routing_new(b, config, &routing);
        if (r < 0)
                return r;

        LIST_FOREACH(i, &b->listeners) {
                Listener *l = CONTAINER_OF(i, Listener, link);

                l->config = routing_listener_config(routing, l->name);
                l->needs_bytes = routing_needs_head(routing, l);
                l->needs_head = l->needs_bytes || (l->carries == 0 && l->config->proxy_protocol != PROXY_PROTOCOL_NO);
        }

        routing_unref(b->routing);
        b->routing = routing;
        b->n.n_loaded++;
        check_listeners(b);

        b->log_handoffs = config->broker.log_handoffs;
        b->exit_idle_usec = config->broker.exit_idle_usec;
        b->park_timeout_usec = config->broker.park_timeout_usec;
        b->max_parked = config->broker.max_parked ?: b->n_fds / FDS_PER_CLIENT / 2;
        watch_idle(b);

        b->max_clients = b->n_fds / FDS_PER_CLIENT;
        if (config->broker.max_clients > 0)
                b->max_clients = MIN(b->max_clients, (size_t) config->broker.max_clients);
        resume_if_room(b);

        reap(b);
        return 0;
}

/* Not given: a share of the table, and of the queues as they are by default. */
static unsigned source_max(const Broker *b, const ListenerConfig *config) {
        return config->max_clients_per_source ?: MAX(MIN((unsigned) (b->max_clients / 8), 512U), 16U);
}

bool broker_count_source(Broker *b, Client *c) {
        unsigned max = source_max(b, c->listener->config);
        const Source *s;

        if (source_get(&b->sources, c, max))
                return true;

        /* One of its own clients that only waits for the next request makes room for it. */
        s = source_find(&b->sources, &c->address);
        return s && park_evict_of(b, s) && source_get(&b->sources, c, max);
}

bool broker_source_has_room(const Broker *b, const Client *c) {
        unsigned max = source_max(b, c->listener->config);

        /* Not every sender tells the public listener: then the smallest limit of them holds. */
        LIST_FOREACH(i, &b->listeners)
                if (c->listener->carries != 0 && CONTAINER_OF(i, Listener, link)->carries == 0)
                        max = MIN(max, source_max(b, CONTAINER_OF(i, Listener, link)->config));

        return c->source->n_clients <= max;
}

/* A PROXY header may, or has to, come from these. */
static bool is_trusted_proxy(const ListenerConfig *config, const Client *c) {
        for (size_t i = 0; i < config->n_trusted_proxies; i++)
                if (address_range_contains(&config->trusted_proxies[i], &c->address.sa))
                        return true;

        return false;
}

/*
 * Somebody has to make room: who was answered already, whoever has taken the longest to say what he wants, or else
 * those who come.
 */
static void make_room(Broker *b) {
        if (broker_room(b) > 0 || refusal_finish_oldest(b) || head_evict_oldest(b))
                return;

        /* Those who are parked have descriptors to give, but no place among those on their way. */
        while (broker_room(b) == 0 && b->clients.n_used - b->n_parked < b->max_clients && park_evict_oldest(b))
                ;

        if (broker_room(b) == 0)
                broker_pause(b, 0);
}

static void admit(Broker *b, Client *c) {
        const ListenerConfig *config = c->listener->config;

        if (config->proxy_protocol != PROXY_PROTOCOL_NO)
                c->needs_proxy = is_trusted_proxy(config, c);

        if (config->proxy_protocol == PROXY_PROTOCOL_REQUIRE && !c->needs_proxy)
                refusal_send(b, c, REFUSAL_NO_ROUTE, PROBE_REASON_NONE);
        else if (!c->needs_proxy && !broker_count_source(b, c))
                refusal_send(b, c, REFUSAL_SOURCE_FULL, PROBE_REASON_NONE);
        else
                head_begin(b, c);
}

void broker_admit(Broker *b, Client *c) {
        admit(b, c);

        /* After that: one who is over his share takes nobody else's place. */
        make_room(b);
}

void broker_drop(Broker *b, Client *c) {
        /* First: what it is linked to may end with its generation of routes. */
        list_remove(&c->link);
        list_remove(&c->second_link);
        pool_release(c);
        judge_forget(b, c);
        unwatch_client(&b->watch, c);
        source_put(&b->sources, c);
        client_free(&b->clients, c);
        if (b->paused)
                resume_if_room(b);
}

/* The last thing: what waits here is left to the next process. */
static void pass_on(Broker *b) {
        handback_stop(b);

        if (b->clients.n_used > b->n_refused_held)
                handover_all(b);
}

static void finish(Broker *b) {
        (void) sd_event_exit(b->event, 0);
        watch_sd_event_changed(&b->watch);
}

/* As long as receipts are awaited, workers may hand clients back, and wait for the answer to that. */
void broker_stop_if_settled(Broker *b) {
        if (!receipts_any(&b->receipts))
                pass_on(b);

        if (b->clients.n_used == 0)
                finish(b);
}

/* Each pool that waits once: dispatching one may empty others, or end their generation. */
static void dispatch_all(Broker *b) {
        size_t n = 0;

        LIST_FOREACH(i, &b->waiting)
                n++;

        for (List *l; n > 0 && (l = list_first(&b->waiting)); n--) {
                list_remove(l);
                list_append(&b->waiting, l);
                pool_dispatch(CONTAINER_OF(l, Pool, waiting_link));
        }
}

void broker_stop(Broker *b) {
        if (b->stopping)
                return;

        b->stopping = true;
        (void) broker_enable_listeners(b);
        receipts_drop_expired(&b->receipts);

        /* The window does not hold any more: everything goes into the backlogs, which outlive us. */
        dispatch_all(b);

        timer_set(&b->stop_timer, usec_now() + STOP_HEAD_USEC);
        broker_stop_if_settled(b);
}

/* First those go whose request may never be whole, and later everybody. */
static void on_stop_timer(void *userdata) {
        Broker *b = userdata;

        pass_on(b);
        LIST_FOREACH(i, &b->listeners)
                head_refuse_all(CONTAINER_OF(i, Listener, link), REFUSAL_STOPPING);

        if (!b->stop_is_late) {
                b->stop_is_late = true;
                timer_set(&b->stop_timer, usec_now() + STOP_WAIT_USEC - STOP_HEAD_USEC);
                return;
        }

        for (List *l; (l = list_first(&b->waiting));)
                pool_refuse_all(CONTAINER_OF(l, Pool, waiting_link), REFUSAL_STOPPING);
        flush_end_all(b);

        diag_stopped(b);
        finish(b);
}

/* Asks once in a while whether anything happened, instead of setting a timer for each client. */
static void on_idle_timer(void *userdata) {
        Broker *b = userdata;

        if (b->clients.n_used == 0 && b->n.n_accepted == b->idle_n_accepted)
                broker_stop(b);
        else
                watch_idle(b);
}
