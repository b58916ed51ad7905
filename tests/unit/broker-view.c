/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker-view.h"

#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/admission.h"
#include "broker/arrival.h"
#include "broker/settlement.h"
#include "connections/store.h"

BrokerFixture t;

void set_polling(bool is_polling) {
        t.broker->loop.poll_mode = (PollMode){ .n_accepted = n_accepted(), .at = usec_now(), .gap = 1, .is_busy = is_polling };
        settlement_set_polled(t.broker, is_polling);
}

void never_poll(void) {
        t.broker->loop.poll_mode.slow_until = USEC_INFINITY;
}

uint64_t n_accepted(void) { return t.broker->n.n_accepted; }
uint64_t n_taken(void) { return t.broker->n.n_taken; }
uint64_t n_unread(void) { return t.broker->n.n_unread; }
uint64_t n_refused(Refusal reason) { return t.broker->n.n_refused[reason]; }
uint64_t n_gone(void) { return t.broker->n.n_gone; }
uint64_t n_returned(void) { return t.broker->n.n_returned; }
uint64_t n_handed_over(void) { return t.broker->n.n_handed_over; }
uint64_t n_flushed(void) { return t.broker->n.n_flushed; }
uint64_t n_flush_whole(void) { return t.broker->n.n_flush_whole; }
uint64_t n_flush_waits(void) { return t.broker->n.n_flush_waits; }
uint64_t n_flush_again(void) { return t.broker->n.n_flush_again; }
uint64_t n_flush_lost(void) { return t.broker->n.n_flush_lost; }

uint64_t n_refused_in_all(void) {
        uint64_t n = 0;

        for (Refusal reason = 0; reason < _REFUSAL_MAX; reason++)
                n += n_refused(reason);

        return n;
}

bool is_account_even(void) {
        size_t n_under_way = n_in_broker() - t.broker->linger.n; /* a refused client is counted already */

        return n_accepted() + n_returned() == n_taken() + n_refused_in_all() + n_gone() + n_handed_over() + n_under_way;
}

size_t n_in_broker(void) { return t.broker->clients.n_used; }
size_t n_parked(void) { return t.broker->parking.n; }
size_t n_pools(void) { return t.broker->routing->n_pools; }
size_t n_workers(void) { return t.broker->workers.n_workers; }
size_t n_fds(void) { return t.broker->admission.n_fds; }
size_t max_clients(void) { return t.broker->admission.max_clients; }
size_t n_free_places(void) { return admission_free_places(t.broker); }
bool is_paused(void) { return t.broker->admission.is_paused; }
bool is_stopping(void) { return broker_is_stopping(t.broker); }
bool awaits_receipts(void) { return receipts_any(&t.broker->receipts); }
bool is_judging(void) { return inspect_any(&t.broker->inspect); }
bool holds_back_lines(void) { return timer_is_on(&t.broker->diag.timer); }
uint32_t instance(void) { return t.broker->clients.instance; }
const void *routing(void) { return t.broker->routing; }

void set_max_clients(size_t n) { t.broker->admission.max_clients = n; }
void set_max_parked(size_t n) { t.broker->parking.max = n; }
void set_park_timeout(usec_t usec) { t.broker->parking.timeout = usec; }
void observe(Observer observer) { t.broker->diag.observer = observer; }

static _Noreturn void view_unknown(const char *what, const char *name) {
        fprintf(stderr, "The broker knows no %s %s.\n", what, name);
        abort();
}

static Route *view_route(const char *unit) {
        Routing *r = t.broker->routing;

        for (size_t i = 0; i < r->n_routes; i++)
                if (streq(r->routes[i].config->unit, unit))
                        return &r->routes[i];

        view_unknown("route", unit);
}

/* The worker may be one of an earlier configuration. */
static Worker *view_worker(const char *name) {
        char path[64];

        (void) snprintf(path, sizeof(path), "%s/%s", t.directory, name);
        for (size_t i = 0; i < n_workers(); i++)
                if (streq(t.broker->workers.workers[i]->path, path))
                        return t.broker->workers.workers[i];

        view_unknown("worker", path);
}

static const Listener *view_listener(const char *name) {
        for (List *l = t.broker->listeners.next; l != &t.broker->listeners; l = l->next)
                if (streq(CONTAINER_OF(l, Listener, link)->name, name))
                        return CONTAINER_OF(l, Listener, link);

        view_unknown("listener", name);
}

void end_silence(const char *listener) {
        Listener *l = listener_find(&t.broker->listeners, slice_from_string(listener));

        for (List *i = l->silent.waits.next; i != &l->silent.waits; i = i->next)
                CONTAINER_OF(i, Wait, link)->due = loop_now(&t.broker->loop);
        arrival_on_timer(l);
}

size_t queued(const char *unit) { return view_route(unit)->pool->n_queued; }
void age_line_of_full_pool(const char *unit, usec_t usec) { view_route(unit)->pool->full.limit.last -= usec; }

uint64_t route_n_taken(const char *unit) { return view_route(unit)->stats->n_taken; }
uint64_t route_n_rerouted(const char *unit) { return view_route(unit)->stats->n_rerouted; }
uint64_t route_n_declined(const char *unit) { return view_route(unit)->stats->n_declined; }
uint64_t route_n_refused(const char *unit, Refusal reason) { return view_route(unit)->stats->n_refused[reason]; }

uint64_t route_n_timed(const char *unit) {
        uint64_t n = 0;

        for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
                n += view_route(unit)->stats->time.n[i];

        return n;
}

size_t n_pending(const char *worker) { return view_worker(worker)->n_pending; }
size_t n_connections(const char *worker) { return view_worker(worker)->n_persistent; }
uint64_t worker_n_taken(const char *worker) { return view_worker(worker)->n_taken; }
uint64_t worker_n_rerouted(const char *worker) { return view_worker(worker)->n_rerouted; }
bool is_gone(const char *worker) { return view_worker(worker)->unreachable; }
int gone_error(const char *worker) { return view_worker(worker)->unreachable_error; }
bool is_private(const char *worker) { return view_worker(worker)->is_private; }
usec_t stuck_for(const char *worker, usec_t later) { return worker_stuck_for(view_worker(worker), loop_now(&t.broker->loop) + later); }
bool is_drained(const char *worker) { return view_worker(worker)->is_drained; }
bool is_retried_later(const char *worker) { return view_worker(worker)->retry_at > 0; }
void retry_now(const char *worker) { view_worker(worker)->retry_at = 0; }
ConnectionTable *track_connections(void) {
        const struct sockaddr_nl address = { .nl_family = AF_NETLINK };
        int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
        ConnectionStore *store;

        if (fd < 0 || bind(fd, (const struct sockaddr *) &address, sizeof(address)) < 0 || connection_store_new(&store) < 0 ||
            live_new(t.broker, fd, store) < 0 || connection_table_set_max(t.broker->live->table, 20000) < 0)
                abort();

        t.broker->live->sweep.state = SWEEP_IDLE;
        t.broker->live->sweep.at = USEC_INFINITY;
        return t.broker->live->table;
}

void drain(const char *worker, bool is_drained) { broker_drain_worker(t.broker, view_worker(worker), is_drained); }

uint64_t listener_n_accepted(const char *name) { return view_listener(name)->n_accepted; }
uint64_t listener_n_refused(const char *name, Refusal reason) { return view_listener(name)->n_refused[reason]; }
bool listener_needs_head(const char *name) { return view_listener(name)->needs_head; }

ClientState first_client_state(void) { return t.broker->clients.slots[0].state; }
bool first_client_has_route(void) { return t.broker->clients.slots[0].sent.route; }
bool first_client_was_received(void) { return t.broker->clients.slots[0].sent.was_received; }

uint64_t other_n_taken(void) { return t.other->n.n_taken; }
uint64_t other_n_returned(void) { return t.other->n.n_returned; }
size_t other_n_in_broker(void) { return t.other->clients.n_used; }
void set_other_max_clients(size_t n) { t.other->admission.max_clients = n; }

int start_live(int fd, ConnectionStore *store) { return live_new(t.broker, fd, store); }
const ConnectionTable *connections(void) { return t.broker->live->table; }

void sweep_now(void) {
        t.broker->live->sweep.at = 0;
        timer_set(&t.broker->live->timer, usec_now());
}
