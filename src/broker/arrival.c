/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/arrival.h"

#include <sys/socket.h>

#include "basic/error.h"
#include "basic/fd.h"
#include "broker/admission.h"
#include "broker/delivery.h"
#include "broker/departure.h"
#include "broker/live.h"
#include "broker/settlement.h"
#include "broker/stage/head.h"
#include "broker/state/client-context.h"
#include "broker/state/watch.h"

#define BATCH_MAX 32U

/* Largest number of wake-ups with one call of accept4(2) before a second call is tried again. */
#define SINGLE_ACCEPTS_MAX 15U

static void arrival_ask_head(void *userdata, Client *c, SocketTask *t) {
        t->steps = SOCKET_STEP_PEEK;
        t->head_max = c->listener->config->max_head_size;
}

static void arrival_go_on_head(void *userdata, Client *c, const SocketTask *t);

static const InspectKind arrival_head_kind = { arrival_ask_head, arrival_go_on_head };

/* Has the helper copy the first bytes, because the socket is shared. arrival_go_on_head() gets the client back. */
static void arrival_inspect_head(Broker *b, Client *c) {
        waiting_remove(&c->wait);
        waiting_remove(&c->second);
        inspect_begin(&b->inspect, c, &arrival_head_kind);
}

static void arrival_evict_parked(Broker *b, Client *c, ParkedLimit limit) {
        diag_parked_ended(&b->diag, limit);
        departure_evict_parked(b, c);
}

/* Ends the oldest parked client of the source that @c has. Returns false if there is none. */
static bool arrival_evict_of_source(Broker *b, const Client *c) {
        const Source *s = source_find(&b->sources, &c->address);
        Client *oldest = s ? source_oldest_parked(s) : NULL;

        if (!oldest)
                return false;

        arrival_evict_parked(b, oldest, PARKED_LIMIT_SOURCE);
        return true;
}

/*
 * Counts the client for its source. If the source has too many clients, first looks for receipts, and then ends its
 * oldest parked client. Returns false if that is not enough.
 */
static bool arrival_count_source(Broker *b, Client *c) {
        if (admission_take_source(b, c))
                return true;

        settlement_look_at_source(b, source_find(&b->sources, &c->address));
        if (admission_take_source(b, c))
                return true;

        return arrival_evict_of_source(b, c) && admission_take_source(b, c);
}

/*
 * Returns false if the source of the client has MaxConnectionsPerSource= clients. Before that, looks for ends of
 * connections, and then ends the oldest parked client of the source.
 */
static bool arrival_has_connections_left(Broker *b, Client *c) {
        if (admission_has_connections_left(b, c))
                return true;

        live_read(b); /* connections of the source may have ended meanwhile */
        if (admission_has_connections_left(b, c))
                return true;

        return arrival_evict_of_source(b, c) && admission_has_connections_left(b, c);
}

/* Counts a new client for the limits of its source. Returns true, or why it has to be refused in *ret. */
static bool arrival_admit_source(Broker *b, Client *c, Refusal *ret) {
        if (c->listener->rates && !admission_take_rate(b, c))
                *ret = REFUSAL_SOURCE_RATE;
        else if (c->listener->config->max_connections_per_source > 0 && !arrival_has_connections_left(b, c))
                *ret = REFUSAL_SOURCE_BUSY;
        else if (!arrival_count_source(b, c))
                *ret = REFUSAL_SOURCE_FULL;
        else
                return true;

        return false;
}

/* Goes on after the PROXY header, which tells the source of the client. */
static HeadResult arrival_begin_behind_proxy(Broker *b, Client *c) {
        Listener *l = c->listener;
        Refusal why;

        c->needs_proxy = false;

        if (!arrival_admit_source(b, c, &why))
                return (HeadResult){ .verdict = HEAD_REFUSE, .why = why };
        if (!l->needs_bytes)
                return head_route_at_once(b->routing, c);

        head_begin_silence(c, usec_add(loop_now(&b->loop), l->config->silent_timeout_usec));
        return (HeadResult){ .verdict = HEAD_PROXY };
}

/* Moves the client on as @r says. Returns true if the client has left this stage. Then it may have been freed. */
static bool arrival_conclude(Broker *b, Client *c, const HeadResult *r) {
        if (r->verdict == HEAD_WAIT)
                return false;

        head_leave(&b->loop, c);
        if (r->verdict == HEAD_POOL)
                delivery_admit(b, r->pool, c);
        else if (r->verdict == HEAD_GONE)
                departure_gone(b, c);
        else
                departure_refuse(b, c, r->why, r->reason);

        return true;
}

/* Looks at the first bytes and moves the client on. Returns true if the client has left this stage. */
static bool arrival_look(Broker *b, Client *c) {
        for (;;) {
                HeadResult r = head_look(&b->head_buffer, b->routing, c);

                if (r.verdict == HEAD_PROXY)
                        r = arrival_begin_behind_proxy(b, c);
                if (r.verdict != HEAD_PROXY)
                        return arrival_conclude(b, c, &r);
        }
}

/* Ends a client that sends no more bytes before its head is complete, unless a route takes the bytes. */
static void arrival_end_incomplete(Broker *b, Client *c) {
        HeadResult r = head_look_last(&b->head_buffer, b->routing, c);

        if (arrival_conclude(b, c, &r))
                return;

        head_leave(&b->loop, c);
        departure_gone_unread(b, c);
}

static void arrival_refuse(Broker *b, Client *c, Refusal why) {
        head_leave(&b->loop, c);
        departure_refuse(b, c, why, PROBE_REASON_NONE);
}

static void arrival_time_out(Broker *b, Client *c) {
        HeadResult r;

        if (arrival_look(b, c))
                return;

        r = head_look_last(&b->head_buffer, b->routing, c);
        if (!arrival_conclude(b, c, &r))
                arrival_refuse(b, c, REFUSAL_HEAD_TIMEOUT);
}

/* Looks at the first bytes, and waits for more if needed. */
static void arrival_enter(Broker *b, Client *c) {
        if (arrival_look(b, c))
                return;

        head_enter(c);
        if (watch_client(&b->loop, c) < 0)
                arrival_refuse(b, c, REFUSAL_BROKER);
        else if (c->is_shared && c->wait.due <= loop_now(&b->loop)) /* endless events would leave the timer no turn */
                arrival_time_out(b, c);
        else if (c->inspect.has_news) /* the last bytes may have come after the copy was made */
                arrival_inspect_head(b, c);
        else if (c->has_ended)
                arrival_end_incomplete(b, c);
}

static void arrival_go_on_head(void *userdata, Client *c, const SocketTask *t) {
        Broker *b = userdata;

        if (!t || (t->failed != 0 && !errno_is_resource(t->error)))
                departure_gone(b, c);
        else if (t->failed != 0 || client_set_copy(c, t->head, t->n_head, t->is_end) < 0)
                departure_refuse(b, c, REFUSAL_BROKER, PROBE_REASON_NONE);
        else
                arrival_enter(b, c);
}

void arrival_begin(Broker *b, Client *c) {
        Listener *l = c->listener;
        usec_t now = loop_now(&b->loop);

        c->begun_at = now;

        /* No byte is needed if no route asks for bytes, or if a worker has named the route. */
        if (!l->needs_head || client_route_name(c)) {
                HeadResult r = head_route_at_once(b->routing, c);

                (void) arrival_conclude(b, c, &r);
                return;
        }

        c->wait.due = usec_add(now, l->config->head_timeout_usec);
        c->second.due = usec_add(now, l->config->silent_timeout_usec);
        if (c->is_shared && !c->copy)
                arrival_inspect_head(b, c);
        else
                arrival_enter(b, c);
}

void arrival_on_head_event(Broker *b, Client *c, uint32_t events) {
        if (events & EPOLLHUP) {
                departure_gone(b, c);
                return;
        }

        c->has_ended = events & EPOLLRDHUP;
        if (c->is_shared)
                arrival_inspect_head(b, c);
        else if (!arrival_look(b, c) && c->has_ended)
                arrival_end_incomplete(b, c);
}

void arrival_on_park_event(Broker *b, Client *c, uint32_t events) {
        park_leave(&b->parking, c);

        if (events & EPOLLHUP)
                departure_gone(b, c);
        else {
                c->has_ended = events & EPOLLRDHUP;
                arrival_begin(b, c);
        }
}

/*
 * Ends parked clients to make a place for another one: the oldest of a source with too many clients, and one if
 * MaxParked= are parked.
 */
static void arrival_make_parking_place(Broker *b, const Client *newcomer) {
        Client *surplus;

        while ((surplus = admission_source_surplus(b, newcomer)))
                arrival_evict_parked(b, surplus, PARKED_LIMIT_SOURCE);

        surplus = park_surplus(&b->parking);
        if (surplus)
                arrival_evict_parked(b, surplus, PARKED_LIMIT_ALL);
}

void arrival_park(Broker *b, Client *c) {
        bool has_news = c->inspect.has_news;

        if (!broker_is_stopping(b)) /* a broker that stops hands over all parked clients */
                arrival_make_parking_place(b, c);

        park_enter(&b->parking, c);
        if (has_news && !broker_is_stopping(b))
                arrival_on_park_event(b, c, 0);
}

/* Routes a client that has sent nothing for SilentTimeoutSec=, because it may wait for the server to begin. */
static void arrival_route_silent(Broker *b, Client *c) {
        usec_t due = c->second.due;
        HeadResult r;

        waiting_remove(&c->second);

        /* Bytes may have come, with an event later in this turn. */
        if (arrival_look(b, c))
                return;

        /*
         * A client that has not sent its PROXY header counts as late and not as silent. The look changes the time if it
         * found a byte, or a PROXY header, behind which the silence begins anew.
         */
        if (c->needs_proxy || c->second.due != due)
                return;

        r = head_route_silent(b->routing, c);
        (void) arrival_conclude(b, c, &r);
}

void arrival_on_timer(void *userdata) {
        Listener *l = userdata;
        Broker *b = l->userdata;
        usec_t now = loop_now(&b->loop);

        for (Wait *w; (w = waiting_next_due(&l->silent, now));)
                arrival_route_silent(b, CONTAINER_OF(w, Client, second));
        for (Wait *w; (w = waiting_next_due(&l->heads, now));)
                arrival_time_out(b, CONTAINER_OF(w, Client, wait));
}

void arrival_refuse_all(Broker *b, Refusal why) {
        LIST_FOREACH(i, &b->listeners)
                for (Wait *w; (w = waiting_first(&CONTAINER_OF(i, Listener, link)->heads));)
                        arrival_refuse(b, CONTAINER_OF(w, Client, wait), why);
}

/* Refuses the client whose head has been awaited longest. Returns false if there is none. */
static bool arrival_evict_oldest(Broker *b) {
        Client *oldest = NULL;

        /*
         * The oldest client of each list is at its beginning, or near. Of these the one with the smallest id is the
         * oldest.
         */
        LIST_FOREACH(i, &b->listeners) {
                Wait *first = waiting_first(&CONTAINER_OF(i, Listener, link)->heads);

                if (first && (!oldest || CONTAINER_OF(first, Client, wait)->id < oldest->id))
                        oldest = CONTAINER_OF(first, Client, wait);
        }

        if (oldest)
                arrival_refuse(b, oldest, REFUSAL_EVICTED);
        return oldest;
}

/*
 * Makes a place for the next client if there is none. First a client is ended that was answered already, then the one
 * whose head has been awaited longest. If there is none of these, listeners are turned off, and new clients wait in the
 * backlog.
 */
static void arrival_make_place(Broker *b) {
        Client *parked;

        if (admission_free_places(b) > 0 || departure_evict_refused(b) || arrival_evict_oldest(b))
                return;

        /* Parked clients need descriptors, but do not count for MaxClients=. */
        while (admission_free_places(b) == 0 && b->clients.n_used - b->parking.n < b->admission.max_clients &&
               (parked = park_oldest(&b->parking)))
                arrival_evict_parked(b, parked, PARKED_LIMIT_PLACES);

        if (admission_free_places(b) == 0)
                admission_pause(b, 0);
}

static void arrival_admit(Broker *b, Client *c) {
        const ListenerConfig *config = c->listener->config;
        Refusal why;

        c->needs_proxy = listener_trusts(c->listener, &c->address);

        if (config->proxy_protocol == PROXY_PROTOCOL_REQUIRE && !c->needs_proxy)
                departure_refuse(b, c, REFUSAL_UNTRUSTED, PROBE_REASON_NONE);
        else if (!c->needs_proxy && !arrival_admit_source(b, c, &why))
                departure_refuse(b, c, why, PROBE_REASON_NONE);
        else
                arrival_begin(b, c);

        /*
         * A place is made last. A client that is refused for its source frees its own place, so no other client has to
         * go.
         */
        arrival_make_place(b);
}

/* Returns 0, -EAGAIN if the backlog is empty, or a negative errno that is not about one client. */
static int arrival_accept_one(Broker *b, Listener *l) {
        _cleanup_close_ int fd = -EBADF;
        ClientAddress address = {};
        socklen_t len = sizeof(address);
        Client *c;

        /* SOCK_NONBLOCK is not set. The flag belongs to the open file description, so the worker would get it, too. */
        fd = accept4(l->fd, &address.sa, &len, SOCK_CLOEXEC);
        if (fd < 0)
                return errno != EAGAIN && errno_is_accept_again(-errno) ? 0 : -errno;

        b->n.n_accepted++;
        l->n_accepted++;

        c = client_new(&b->clients, l, fd);
        if (!c) /* can't happen: a place was made, or the listeners are off */
                return -ENOBUFS;

        (void) TAKE_FD(fd);
        c->peer = c->address = address;
        arrival_admit(b, c);
        return 0;
}

/*
 * Returns the number of calls of accept4(2) for this wake-up. A call that fails with EAGAIN costs as much as one that
 * succeeds. So a batch begins with one call, and doubles while clients are waiting. After a second call has failed, the
 * next wake-ups make one call only.
 *
 * In poll mode a batch is always full. Clients that are accepted in one turn share a message to the worker, which saves
 * more than the call costs.
 */
static unsigned arrival_batch_size(const Broker *b, Listener *l) {
        if (b->loop.poll_mode.is_busy)
                return BATCH_MAX;
        if (l->single_accepts_left > 0) {
                l->single_accepts_left--;
                return 1;
        }

        l->batch = MIN(l->batch * 2, BATCH_MAX);
        return l->batch;
}

/* Sets the size of the next batches. The backlog was empty after @n clients. */
static void arrival_adapt_batch(Listener *l, unsigned n) {
        l->batch = 1;
        l->single_accepts = n > 1 ? 0 : MIN(l->single_accepts * 2 + 1, SINGLE_ACCEPTS_MAX);
        l->single_accepts_left = l->single_accepts;
}

static void arrival_accept(Listener *l, void *userdata) {
        Broker *b = userdata;
        unsigned n = arrival_batch_size(b, l);

        for (unsigned i = 0; i < n; i++) {
                int r = arrival_accept_one(b, l);

                if (r == -EAGAIN) {
                        arrival_adapt_batch(l, i);
                        return;
                }
                if (r < 0) {
                        admission_pause(b, r);
                        return;
                }
                if (b->admission.is_paused)
                        return;
        }
}

const ListenerHandlers arrival_handlers = { arrival_accept, arrival_on_timer };
