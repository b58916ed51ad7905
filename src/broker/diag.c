/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/diag.h"

#include <inttypes.h>
#include <stdio.h>

#include "basic/address.h"
#include "broker/refusal.h"

/* The lines that would come once a client come this often instead, with a count. */
#define INTERVAL_USEC (10 * USEC_PER_SEC)

#define PLURAL(n) ((n) == 1 ? "" : "s")

static void begin_route(LogRecord *record, const Broker *b, int priority, const Route *route) {
        log_begin(record, b->log, priority);
        log_field(record, "FDPASS_ROUTE", "%s", route->config->unit);
        log_field(record, "FDPASS_WORKER", "%s", route->worker->path);
}

/* What an administrator would look at first. */
static const char *hint(int error) {
        switch (-error) {
        case ENOENT:
        case ECONNREFUSED:
                return "nobody listens there; is the unit started?";
        case EACCES:
        case EPERM:
                return "the broker may not connect; does the unit say SocketUser=fdpass?";
        case EPROTOTYPE:
                return "the socket is of another kind than its unit says";
        default:
                return "it can't be reached";
        }
}

void diag_worker_gone(Broker *b, const Route *route, int error) {
        LogRecord record;

        begin_route(&record, b, LOG_WARNING, route);
        log_field(&record, "ERRNO", "%d", -error);
        log_commit(&record, "%s: worker %s is gone: %s (%s).", route->config->unit, route->worker->path,
                   hint(error), strerror(-error));
}

void diag_worker_back(Broker *b, const Route *route) {
        LogRecord record;

        begin_route(&record, b, LOG_NOTICE, route);
        log_commit(&record, "%s: worker %s is back.", route->config->unit, route->worker->path);
}

void diag_worker_stuck(Broker *b, const Route *route, usec_t span) {
        LogRecord record;

        begin_route(&record, b, LOG_WARNING, route);
        log_field(&record, "FDPASS_N", "%u", route->worker->n_unclaimed);
        log_commit(&record, "%s: worker %s does not take its clients: %u wait in its backlog, the first since %" PRIu64
                   " s. Does its service come up?", route->config->unit, route->worker->path,
                   route->worker->n_unclaimed, span / USEC_PER_SEC);
}

void diag_worker_goes_on(Broker *b, const Route *route) {
        LogRecord record;

        begin_route(&record, b, LOG_NOTICE, route);
        log_commit(&record, "%s: worker %s takes its clients again.", route->config->unit, route->worker->path);
}

void diag_worker_reset(Broker *b, const Route *route) {
        LogRecord record;
        uint64_t n;

        if (!ratelimit_test(&route->worker->resets, broker_now(b), INTERVAL_USEC, &n))
                return;

        begin_route(&record, b, LOG_WARNING, route);
        log_field(&record, "FDPASS_N", "%" PRIu64, n);
        log_commit(&record, "%s: worker %s went away with %" PRIu64 " client%s unread; they are handed out again.",
                   route->config->unit, route->worker->path, n, PLURAL(n));
}

void diag_unknown_listener(Broker *b, const RouteConfig *route, const char *name, size_t n) {
        LogRecord record;

        log_begin(&record, b->log, LOG_WARNING);
        log_field(&record, "FDPASS_ROUTE", "%s", route->unit);
        log_field(&record, "FDPASS_LISTENER", "%s", name);
        if (n == 1)
                log_commit(&record, "%s: there is no listener %s.", route->unit, name);
        else
                log_commit(&record, "%s: there is no listener %s; %zu more Listener= values have none.", route->unit,
                           name, n - 1);
}

void diag_unknown_failure_route(Broker *b, const RouteConfig *route) {
        LogRecord record;

        log_begin(&record, b->log, LOG_WARNING);
        log_field(&record, "FDPASS_ROUTE", "%s", route->unit);
        log_field(&record, "CONFIG_FILE", "%s", route->path);
        log_commit(&record, "%s: OnFailure=%s is no other route; clients are refused instead.", route->unit,
                   route->failure_route);
}

void diag_queue_full(Pool *p) {
        LogRecord record;
        uint64_t n;

        if (!ratelimit_test(&p->full, broker_now(p->broker), INTERVAL_USEC, &n))
                return;

        begin_route(&record, p->broker, LOG_WARNING, &p->routes[0]);
        log_field(&record, "FDPASS_N", "%" PRIu64, n);
        log_commit(&record, "%s: %" PRIu64 " client%s refused: %zu wait already, and %zu are in the workers' hands.",
                   p->routes[0].config->unit, n, n == 1 ? " was" : "s were", p->n_queued,
                   p->n_clients - p->n_queued - 1);
}

void diag_client_expired(Pool *p) {
        LogRecord record;
        uint64_t n;

        if (!ratelimit_test(&p->expired, broker_now(p->broker), INTERVAL_USEC, &n))
                return;

        begin_route(&record, p->broker, LOG_WARNING, &p->routes[0]);
        log_field(&record, "FDPASS_N", "%" PRIu64, n);
        log_commit(&record, "%s: %" PRIu64 " client%s waited %" PRIu64 " s for a worker in vain.",
                   p->routes[0].config->unit, n, PLURAL(n), (p->queue_timeout + USEC_PER_SEC - 1) / USEC_PER_SEC);
}

void diag_no_route(Listener *l) {
        Broker *b = l->broker;
        LogRecord record;
        uint64_t n;

        if (!ratelimit_test(&l->no_route, broker_now(b), INTERVAL_USEC, &n))
                return;

        log_begin(&record, b->log, LOG_WARNING);
        log_field(&record, "FDPASS_LISTENER", "%s", l->name);
        log_field(&record, "FDPASS_N", "%" PRIu64, n);
        log_commit(&record, "No route takes clients of listener %s: %" PRIu64 " refused.", l->name, n);
}

void diag_no_resources(Broker *b, int error) {
        LogRecord record;
        uint64_t n;

        if (!ratelimit_test(&b->no_resources, broker_now(b), INTERVAL_USEC, &n))
                return;

        log_begin(&record, b->log, LOG_ERR);
        log_field(&record, "ERRNO", "%d", -error);
        log_commit(&record, "Handing clients over fails for the moment, they wait: %s.", strerror(-error));
}

void diag_paused(Broker *b, int error) {
        uint64_t n;

        if (b->pause_told || !ratelimit_test(&b->pauses, broker_now(b), INTERVAL_USEC, &n))
                return;

        b->pause_told = true;
        if (error < 0)
                log_line(b->log, LOG_ERR, "Accepting clients fails, they wait in the backlog: %s.", strerror(-error));
        else
                log_line(b->log, LOG_WARNING, "%zu clients are in the broker, no more are accepted for the moment.",
                         b->clients.n_used);
}

void diag_resumed(Broker *b) {
        if (!b->pause_told)
                return;

        b->pause_told = false;
        log_line(b->log, LOG_NOTICE, "Clients are accepted again.");
}

void diag_stopped(Broker *b) {
        size_t n = b->clients.n_used - b->n_refused_held;

        if (n > 0)
                log_line(b->log, LOG_WARNING, "Stopping although %zu client%s without a receipt; systemd holds the workers' backlogs.",
                         n, n == 1 ? " is" : "s are");
}

static void begin_client(LogRecord *record, const Broker *b, const Client *c, char peer[static ADDRESS_TEXT_MAX]) {
        /* Of a client that is not of IP only the family was kept. */
        address_to_text(&c->address.sa, c->address.sa.sa_family == AF_UNIX ? sizeof(sa_family_t) : sizeof(c->address),
                        peer);

        log_begin(record, b->log, LOG_INFO);
        log_field(record, "FDPASS_ID", "%08" PRIx32 "-%" PRIu64, b->instance, c->id);
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
