/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/diag.h"

#include <inttypes.h>
#include <stdio.h>

#include "basic/address.h"
#include "basic/error.h"
#include "basic/message-ids.h"
#include "broker/refusal.h"

/* The lines that would come once a client come this often instead, with a count. */
#define INTERVAL_USEC (10 * USEC_PER_SEC)

#define PLURAL(n) ((n) == 1 ? "" : "s")

/* Sees to it that a count which is held back is told when its interval ends. */
static void hold_back(Broker *b, const RateLimit *rl) {
        timer_set(&b->diag_timer, usec_add(rl->last, INTERVAL_USEC));
}

/* Counts one event. True where it is time to speak, of *ret_n of them. */
static bool is_due(Broker *b, RateLimit *rl, uint64_t *ret_n) {
        if (ratelimit_test(rl, broker_now(b), INTERVAL_USEC, ret_n))
                return true;

        hold_back(b, rl);
        return false;
}

static void begin_route(LogRecord *record, const Broker *b, int priority, const char *id, const Route *route) {
        log_begin(record, b->log, priority);
        if (id)
                log_id(record, id);
        log_field(record, "FDPASS_ROUTE", "%s", route->config->unit);
        log_field(record, "FDPASS_WORKER", "%s", route->worker->path);
}

const char *diag_gone_hint(int error) {
        switch (-error) {
        case ENOENT:
        case ECONNREFUSED:
                return "nobody listens there; is the unit started?";
        case EACCES:
        case EPERM:
                return "the broker may not connect; does the unit say SocketUser=fdpass?";
        case EPROTOTYPE:
                return "the socket is of another kind than its unit says";
        case ELOOP:
                return "a part of its path is a symbolic link, and the broker follows none";
        case ENOTSOCK:
                return "what is there is no socket";
        case EDEADLK:
                return "it is a socket of this broker itself, which would hand clients to itself";
        default:
                return NULL;
        }
}

void diag_worker_gone(Broker *b, const Route *route, int error) {
        Worker *w = route->worker;
        const char *hint = diag_gone_hint(error) ?: "it can't be reached";
        LogRecord record;
        uint64_t n;

        if (w->gone_told || !ratelimit_test(&w->edges, broker_now(b), INTERVAL_USEC, &n))
                return;

        w->gone_told = true;
        begin_route(&record, b, LOG_WARNING, MESSAGE_WORKER_GONE, route);
        log_field(&record, "ERRNO", "%d", -error);
        log_field(&record, "FDPASS_REASON", "%s", strerror(-error));
        log_field(&record, "FDPASS_N", "%u", w->n_gone);
        if (w->n_gone == 1)
                log_commit(&record, "%s: worker %s is gone: %s (%s).", route->config->unit, w->path, hint,
                           strerror(-error));
        else
                log_commit(&record, "%s: worker %s is gone, %u times since it was said last: %s (%s).",
                           route->config->unit, w->path, w->n_gone, hint, strerror(-error));
        w->n_gone = 0;
}

void diag_worker_back(Broker *b, const Route *route) {
        LogRecord record;

        if (!route->worker->gone_told)
                return;

        route->worker->gone_told = false;
        begin_route(&record, b, LOG_NOTICE, MESSAGE_WORKER_BACK, route);
        log_commit(&record, "%s: worker %s is back.", route->config->unit, route->worker->path);
}

void diag_worker_stuck(Broker *b, const Route *route, usec_t span) {
        unsigned n = route->worker->n_pending;
        LogRecord record;

        begin_route(&record, b, LOG_WARNING, MESSAGE_WORKER_STUCK, route);
        log_field(&record, "FDPASS_N", "%u", n);
        log_commit(&record, "%s: worker %s does not take its clients: %u wait%s in its backlog, the first for %" PRIu64
                   " s. Does its service come up?", route->config->unit, route->worker->path, n, n == 1 ? "s" : "",
                   span / USEC_PER_SEC);
}

void diag_worker_goes_on(Broker *b, const Route *route) {
        LogRecord record;

        begin_route(&record, b, LOG_NOTICE, MESSAGE_WORKER_GOES_ON, route);
        log_commit(&record, "%s: worker %s takes its clients again.", route->config->unit, route->worker->path);
}

void diag_worker_hangs(Broker *b, const Worker *w) {
        LogRecord record;

        log_begin(&record, b->log, LOG_ERR);
        log_id(&record, MESSAGE_WORKER_HANGS);
        log_field(&record, "FDPASS_WORKER", "%s", w->path);
        log_commit(&record, "Worker %s holds up calls on the sockets of its clients. It gets no more clients until it lets go.", w->path);
}

void diag_worker_hangs_no_more(Broker *b, const Worker *w) {
        LogRecord record;

        log_begin(&record, b->log, LOG_NOTICE);
        log_id(&record, MESSAGE_WORKER_HANGS_NO_MORE);
        log_field(&record, "FDPASS_WORKER", "%s", w->path);
        log_commit(&record, "Worker %s has let go of the sockets of its clients. It gets clients again.", w->path);
}

void diag_helper_hangs(Broker *b) {
        LogRecord record;
        uint64_t n;

        if (!ratelimit_test(&b->helper_hangs, broker_now(b), INTERVAL_USEC, &n))
                return;

        log_begin(&record, b->log, LOG_ERR);
        log_id(&record, MESSAGE_HELPER_HANGS);
        log_field(&record, "FDPASS_N", "%" PRIu64, n);
        log_commit(&record, "Closing a descriptor that was sent to the broker does not return; %" PRIu64 " in the last time. Routes go on.", n);
}

void diag_helper(Broker *b, const HelperEvent *e) {
        LogRecord record;

        if (e->kind != HELPER_FAILED) {
                log_line(b->log, e->kind == HELPER_RESTARTED ? LOG_WARNING : LOG_INFO,
                         e->kind == HELPER_RESTARTED ? "The helper process has died, and was started again."
                                                     : "A helper process that hangs was replaced by a new one.");
                return;
        }

        log_begin(&record, b->log, LOG_ERR);
        log_id(&record, MESSAGE_HELPER_FAILED);
        log_field(&record, "ERRNO", "%d", -e->error);
        log_field(&record, "FDPASS_REASON", "%s", strerror(-e->error));
        log_commit(&record, "The helper process could not be started: %s.", strerror(-e->error));
}

static void say_worker_reset(Broker *b, const Route *route, uint64_t n) {
        LogRecord record;

        begin_route(&record, b, LOG_WARNING, MESSAGE_WORKER_RESET, route);
        log_field(&record, "FDPASS_N", "%" PRIu64, n);
        log_commit(&record, "%s: worker %s went away with %" PRIu64 " client%s unread; they are handed out again.",
                   route->config->unit, route->worker->path, n, PLURAL(n));
}

void diag_worker_reset(Broker *b, const Route *route) {
        uint64_t n;

        if (is_due(b, &route->worker->resets, &n))
                say_worker_reset(b, route, n);
}

void diag_unknown_listener(Broker *b, const RouteConfig *route, const char *name, size_t n) {
        LogRecord record;

        log_begin(&record, b->log, LOG_WARNING);
        log_id(&record, MESSAGE_UNKNOWN_LISTENER);
        log_field(&record, "FDPASS_ROUTE", "%s", route->unit);
        log_field(&record, "FDPASS_LISTENER", "%s", name);
        if (n == 1)
                log_commit(&record, "%s: there is no listener %s.", route->unit, name);
        else
                log_commit(&record, "%s: there is no listener %s; %zu more Listener= values have none.", route->unit,
                           name, n - 1);
}

void diag_loop(Broker *b, const Listener *l, RateLimit *limit) {
        LogRecord record;
        uint64_t n;

        if (!ratelimit_test(limit, broker_now(b), INTERVAL_USEC, &n))
                return;

        log_begin(&record, b->log, LOG_ERR);
        log_field(&record, "FDPASS_LISTENER", "%s", l->name);
        log_field(&record, "FDPASS_N", "%" PRIu64, n);
        log_commit(&record, "%" PRIu64 " client%s on %s went round through more than %u brokers: whose worker is this one's "
                   "socket?", n, PLURAL(n), l->name, FDPASS_HOPS_MAX);
}

void diag_unknown_failure_route(Broker *b, const RouteConfig *route) {
        LogRecord record;

        log_begin(&record, b->log, LOG_WARNING);
        log_id(&record, MESSAGE_UNKNOWN_FAILURE_ROUTE);
        log_field(&record, "FDPASS_ROUTE", "%s", route->unit);
        log_field(&record, "CONFIG_FILE", "%s", route->path);
        log_commit(&record, "%s: Fallback=%s is no other route; clients are refused instead.", route->unit,
                   route->failure_route);
}

void diag_flushers_differ(Broker *b, const RouteConfig *first, const RouteConfig *other) {
        LogRecord record;

        log_begin(&record, b->log, LOG_WARNING);
        log_field(&record, "FDPASS_ROUTE", "%s", other->unit);
        log_field(&record, "CONFIG_FILE", "%s", other->path);
        log_commit(&record, "%s: it shares its clients with %s, whose Flusher=, ResponseHeader= and ResponseStatus= hold for both.",
                   other->unit, first->unit);
}

static void say_flusher_failed(const Pool *p, uint64_t n) {
        LogRecord record;

        begin_route(&record, p->broker, LOG_ERR, NULL, &p->routes[0]);
        log_field(&record, "FDPASS_N", "%" PRIu64, n);
        log_commit(&record, "%s: flusher %s fails: %" PRIu64 " client%s refused.", p->routes[0].config->unit,
                   p->routes[0].config->flusher, n, n == 1 ? " was" : "s were");
}

void diag_flusher_failed(Pool *p) {
        uint64_t n;

        if (is_due(p->broker, &p->flusher_failures, &n))
                say_flusher_failed(p, n);
}

static void say_queue_full(Pool *p, uint64_t n, size_t n_pending) {
        LogRecord record;

        begin_route(&record, p->broker, LOG_WARNING, MESSAGE_QUEUE_FULL, &p->routes[0]);
        log_field(&record, "FDPASS_N", "%" PRIu64, n);
        log_commit(&record, "%s: %" PRIu64 " client%s refused: %zu in the queue already, and %zu in the workers' hands.",
                   p->routes[0].config->unit, n, n == 1 ? " was" : "s were", p->n_queued,
                   n_pending);
}

void diag_queue_full(Pool *p) {
        uint64_t n;

        if (is_due(p->broker, &p->full, &n)) /* the one that is refused still counts */
                say_queue_full(p, n, p->n_clients - p->n_queued - 1);
}

static void say_client_expired(Pool *p, uint64_t n) {
        LogRecord record;

        begin_route(&record, p->broker, LOG_WARNING, MESSAGE_QUEUE_TIMEOUT, &p->routes[0]);
        log_field(&record, "FDPASS_N", "%" PRIu64, n);
        if (p->queue_timeout > 0)
                log_commit(&record, "%s: %" PRIu64 " client%s waited %" PRIu64 " s for a worker in vain.",
                           p->routes[0].config->unit, n, PLURAL(n), (p->queue_timeout + USEC_PER_SEC - 1) / USEC_PER_SEC);
        else
                log_commit(&record, "%s: %" PRIu64 " client%s found no worker with room, and may not wait.",
                           p->routes[0].config->unit, n, PLURAL(n));
}

void diag_client_expired(Pool *p) {
        uint64_t n;

        if (is_due(p->broker, &p->expired, &n))
                say_client_expired(p, n);
}

static void say_no_route(const Listener *l, uint64_t n) {
        LogRecord record;

        log_begin(&record, l->broker->log, LOG_WARNING);
        log_id(&record, MESSAGE_NO_ROUTE);
        log_field(&record, "FDPASS_LISTENER", "%s", l->name);
        log_field(&record, "FDPASS_N", "%" PRIu64, n);
        log_commit(&record, "No route takes clients of listener %s: %" PRIu64 " refused.", l->name, n);
}

void diag_no_route(Listener *l) {
        uint64_t n;

        if (is_due(l->broker, &l->no_route, &n))
                say_no_route(l, n);
}

void diag_no_resources(Broker *b, int error) {
        LogRecord record;
        uint64_t n;

        /* It goes on, or it is over: a count says nothing that its error doesn't. */
        if (!ratelimit_test(&b->no_resources, broker_now(b), INTERVAL_USEC, &n))
                return;

        log_begin(&record, b->log, LOG_ERR);
        log_id(&record, MESSAGE_NO_RESOURCES);
        log_field(&record, "ERRNO", "%d", -error);
        log_field(&record, "FDPASS_REASON", "%s", strerror(-error));
        log_commit(&record, "Handing clients over fails for the moment, they wait: %s.", strerror(-error));
}

void diag_paused(Broker *b, int error) {
        LogRecord record;
        uint64_t n;

        if (b->pause_told || !is_due(b, &b->pauses, &n))
                return;

        b->pause_told = true;
        log_begin(&record, b->log, error < 0 ? LOG_ERR : LOG_WARNING);
        if (error < 0) {
                log_id(&record, MESSAGE_ACCEPT_FAILED);
                log_field(&record, "ERRNO", "%d", -error);
                log_field(&record, "FDPASS_REASON", "%s", strerror(-error));
                log_commit(&record, "Accepting clients fails, they wait in the backlog: %s.", strerror(-error));
        } else {
                log_id(&record, MESSAGE_BROKER_FULL);
                log_field(&record, "FDPASS_N", "%zu", b->clients.n_used);
                log_commit(&record, "%zu clients are in the broker, no more are accepted for the moment.",
                           b->clients.n_used);
        }
}

void diag_resumed(Broker *b) {
        if (!b->pause_told)
                return;

        b->pause_told = false;
        log_line_id(b->log, LOG_NOTICE, MESSAGE_ACCEPTS_AGAIN, "Clients are accepted again.");
}

/* A pause that began too soon after another one, and lasts. Those that were over meanwhile need no word. */
static void tell_pause(Broker *b, usec_t now) {
        uint64_t n;

        if (ratelimit_flush(&b->pauses, now, INTERVAL_USEC, &n) && b->paused && !b->pause_told) {
                b->pauses = (RateLimit){};
                diag_paused(b, b->pause_error);
        }
}

/* When it is the turn of what is still held back; *at stays where nothing is. */
static void note_earliest(const RateLimit *rl, usec_t *at) {
        if (rl->n_suppressed > 0)
                *at = MIN(*at, usec_add(rl->last, INTERVAL_USEC));
}

static void tell_pool(Pool *p, usec_t now, usec_t *next) {
        uint64_t n;

        if (ratelimit_flush(&p->full, now, INTERVAL_USEC, &n))
                say_queue_full(p, n, p->n_clients - p->n_queued);
        if (ratelimit_flush(&p->expired, now, INTERVAL_USEC, &n))
                say_client_expired(p, n);
        if (ratelimit_flush(&p->flusher_failures, now, INTERVAL_USEC, &n))
                say_flusher_failed(p, n);

        note_earliest(&p->flusher_failures, next);
        note_earliest(&p->full, next);
        note_earliest(&p->expired, next);
}

/* Tells the counts whose interval is over at @now, and when the next one's is. */
static usec_t tell(Broker *b, usec_t now) {
        usec_t next = USEC_INFINITY;
        uint64_t n;

        LIST_FOREACH(i, &b->listeners) {
                Listener *l = CONTAINER_OF(i, Listener, link);

                if (ratelimit_flush(&l->no_route, now, INTERVAL_USEC, &n))
                        say_no_route(l, n);
                note_earliest(&l->no_route, &next);
        }

        for (size_t i = 0; b->routing && i < b->routing->n_routes; i++) {
                Route *route = &b->routing->routes[i];

                if (ratelimit_flush(&route->worker->resets, now, INTERVAL_USEC, &n))
                        say_worker_reset(b, route, n);
                note_earliest(&route->worker->resets, &next);
        }

        for (size_t i = 0; b->routing && i < b->routing->n_pools; i++)
                tell_pool(&b->routing->pools[i], now, &next);

        return next;
}

static void on_timer(void *userdata) {
        Broker *b = userdata;
        usec_t now = broker_now(b), next;

        tell_pause(b, now);
        next = tell(b, now);
        note_earliest(&b->pauses, &next);

        timer_set(&b->diag_timer, next);
}

int diag_timer_add(Broker *b) {
        return timer_init(&b->diag_timer, b, on_timer, b);
}

void diag_tell_all(Broker *b) {
        (void) tell(b, USEC_INFINITY);
}

void diag_tell_pool(Pool *p) {
        usec_t next = USEC_INFINITY;

        tell_pool(p, USEC_INFINITY, &next);
}

void diag_stopped(Broker *b) {
        size_t n = b->clients.n_used - b->n_refused_held;
        LogRecord record;

        if (n == 0)
                return;

        log_begin(&record, b->log, LOG_WARNING);
        log_id(&record, MESSAGE_STOPPED_EARLY);
        log_field(&record, "FDPASS_N", "%zu", n);
        log_commit(&record, "Stopping although %zu client%s without a receipt; systemd holds the workers' backlogs.",
                   n, n == 1 ? " is" : "s are");
}

void diag_handover_failed(Broker *b, size_t n, int error) {
        /* EAGAIN is what connect(2) says to that on AF_UNIX. */
        const char *why = errno_is_transient(error) ? "The backlog of the return socket is full" : strerror(-error);
        LogRecord record;

        if (b->handover_told)
                return;

        b->handover_told = true;
        log_begin(&record, b->log, LOG_WARNING);
        log_id(&record, MESSAGE_HANDOVER_FAILED);
        log_field(&record, "FDPASS_N", "%zu", n);
        log_field(&record, "ERRNO", "%d", -error);
        log_field(&record, "FDPASS_REASON", "%s", why);
        log_commit(&record, "%zu client%s can't be left to the next broker: %s.", n, PLURAL(n), why);
}

void diag_return_refused(Broker *b, const struct ucred *sender) {
        LogRecord record;
        uint64_t n;

        if (!ratelimit_test(&b->returns_refused, broker_now(b), INTERVAL_USEC, &n))
                return;

        log_begin(&record, b->log, LOG_WARNING);
        log_id(&record, MESSAGE_RETURN_REFUSED);
        log_field(&record, "FDPASS_N", "%" PRIu64, n);
        log_field(&record, "FDPASS_PID", "%d", (int) sender->pid);
        log_commit(&record, "Process %d sent to the return socket what is no client: %" PRIu64 " message%s refused.",
                   (int) sender->pid, n, PLURAL(n));
}

static void begin_client(LogRecord *record, const Broker *b, const Client *c, char peer[static ADDRESS_TEXT_MAX]) {
        char id[CLIENT_ID_MAX];

        /* Of a client that is not of IP only the family was kept. */
        address_to_text(&c->address.sa, c->address.sa.sa_family == AF_UNIX ? sizeof(sa_family_t) : sizeof(c->address),
                        peer);

        log_begin(record, b->log, LOG_INFO);
        (void) client_id(c, id);
        log_field(record, "FDPASS_ID", "%s", id);
        log_field(record, "FDPASS_LISTENER", "%s", c->listener->name);
        log_field(record, "FDPASS_CLIENT", "%s", peer);
}

void diag_handed(Broker *b, const Client *c) {
        char peer[ADDRESS_TEXT_MAX];
        LogRecord record;

        begin_client(&record, b, c, peer);
        log_field(&record, "FDPASS_ROUTE", "%s", c->route->config->unit);
        log_field(&record, "FDPASS_WORKER", "%s", c->route->worker->path);
        log_commit(&record, "%s on %s: handed to %s.", peer, c->listener->name, c->route->config->unit);
}

void diag_answered(Broker *b, const Client *c) {
        const RouteConfig *route = c->pool->routes[0].config;
        char peer[ADDRESS_TEXT_MAX];
        LogRecord record;

        begin_client(&record, b, c, peer);
        log_field(&record, "FDPASS_ROUTE", "%s", route->unit);
        log_commit(&record, "%s on %s: answered by flusher %s of %s.", peer, c->listener->name, route->flusher, route->unit);
}

void diag_refused(Broker *b, const Client *c, Refusal why, ProbeReason reason) {
        const char *route = c->pool ? c->pool->routes[0].config->unit : NULL;
        const char *text = reason == PROBE_REASON_NONE ? refusal_to_string(why) : probe_reason_to_string(reason);
        char peer[ADDRESS_TEXT_MAX];
        LogRecord record;

        begin_client(&record, b, c, peer);
        if (route)
                log_field(&record, "FDPASS_ROUTE", "%s", route);
        log_field(&record, "FDPASS_REASON", "%s", text);
        log_commit(&record, "%s on %s: refused%s%s: %s.", peer, c->listener->name, route ? " by " : "",
                   route ? route : "", text);
}
