/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/state/diag.h"

#include <inttypes.h>
#include <stdio.h>

#include "basic/address.h"
#include "basic/error.h"
#include "basic/message-ids.h"
#include "broker/state/client-context.h"
#include "broker/state/client-request.h"

/* Shortest time between two lines about the same thing. */
#define INTERVAL_USEC HELD_LINE_USEC

#define PLURAL(n) ((n) == 1 ? "" : "s")

/*
 * Counts one event of @line. Returns true if the line is due now, for *ret_n events. Otherwise the line is held back.
 */
static bool diag_is_due(Diag *d, HeldLine *line, void *subject, void (*write)(Diag *, void *, uint64_t), uint64_t *ret_n) {
        if (ratelimit_test(&line->limit, loop_now(d->loop), line->interval, ret_n)) {
                list_remove(&line->link);
                return true;
        }

        line->subject = subject;
        line->write = write;
        if (!list_is_linked(&line->link))
                list_append(&d->held, &line->link);
        timer_set(&d->timer, usec_add(line->limit.last, line->interval));
        return false;
}

void diag_write_or_hold(Diag *d, HeldLine *line, void *subject, void (*write)(Diag *, void *, uint64_t)) {
        uint64_t n;

        if (diag_is_due(d, line, subject, write, &n))
                write(d, subject, n);
}

/* Writes @line if it is held back and its interval is over at @now. Returns false if it is still held back. */
static bool diag_write_if_due(Diag *d, HeldLine *line, usec_t now) {
        uint64_t n;

        if (!list_is_linked(&line->link))
                return true;
        if (!ratelimit_flush(&line->limit, now, line->interval, &n))
                return false;

        list_remove(&line->link);
        line->write(d, line->subject, n);
        return true;
}

void diag_begin_route(LogRecord *record, const Diag *d, int priority, const char *id, const Route *route) {
        log_begin(record, d->log, priority);
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

void diag_worker_gone(Diag *d, const Route *route, int error) {
        Worker *w = route->worker;
        const char *hint = diag_gone_hint(error) ?: "it can't be reached";
        LogRecord record;
        uint64_t n;

        if (w->gone_logged || !ratelimit_test(&w->edges, loop_now(d->loop), INTERVAL_USEC, &n))
                return;

        w->gone_logged = true;
        diag_begin_route(&record, d, LOG_WARNING, MESSAGE_WORKER_GONE, route);
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

void diag_worker_back(Diag *d, const Route *route) {
        LogRecord record;

        if (!route->worker->gone_logged)
                return;

        route->worker->gone_logged = false;
        diag_begin_route(&record, d, LOG_NOTICE, MESSAGE_WORKER_BACK, route);
        log_commit(&record, "%s: worker %s is back.", route->config->unit, route->worker->path);
}

void diag_worker_stuck(Diag *d, const Route *route, usec_t span) {
        unsigned n = route->worker->n_pending;
        LogRecord record;

        diag_begin_route(&record, d, LOG_WARNING, MESSAGE_WORKER_STUCK, route);
        log_field(&record, "FDPASS_N", "%u", n);
        log_commit(&record, "%s: worker %s does not take its clients: %u wait%s in its backlog, the first for %" PRIu64
                   " s. Does its service come up?", route->config->unit, route->worker->path, n, n == 1 ? "s" : "",
                   span / USEC_PER_SEC);
}

void diag_worker_goes_on(Diag *d, const Route *route) {
        LogRecord record;

        diag_begin_route(&record, d, LOG_NOTICE, MESSAGE_WORKER_GOES_ON, route);
        log_commit(&record, "%s: worker %s takes its clients again.", route->config->unit, route->worker->path);
}

void diag_worker_hangs(Diag *d, const Worker *w) {
        LogRecord record;

        log_begin(&record, d->log, LOG_ERR);
        log_id(&record, MESSAGE_WORKER_HANGS);
        log_field(&record, "FDPASS_WORKER", "%s", w->path);
        log_commit(&record, "Worker %s holds up calls on the sockets of its clients. It gets no more clients until it lets go.", w->path);
}

void diag_worker_hangs_no_more(Diag *d, const Worker *w) {
        LogRecord record;

        log_begin(&record, d->log, LOG_NOTICE);
        log_id(&record, MESSAGE_WORKER_HANGS_NO_MORE);
        log_field(&record, "FDPASS_WORKER", "%s", w->path);
        log_commit(&record, "Worker %s has let go of the sockets of its clients. It gets clients again.", w->path);
}

void diag_helper_hangs(Diag *d) {
        LogRecord record;
        uint64_t n;

        if (!ratelimit_test(&d->helper_hangs, loop_now(d->loop), INTERVAL_USEC, &n))
                return;

        log_begin(&record, d->log, LOG_ERR);
        log_id(&record, MESSAGE_HELPER_HANGS);
        log_field(&record, "FDPASS_N", "%" PRIu64, n);
        log_commit(&record, "Closing a descriptor that was sent to the broker does not return; %" PRIu64 " in the last time. Routes go on.", n);
}

void diag_helper(Diag *d, const HelperEvent *e) {
        LogRecord record;

        if (e->kind != HELPER_FAILED) {
                log_line(d->log, e->kind == HELPER_RESTARTED ? LOG_WARNING : LOG_INFO,
                         e->kind == HELPER_RESTARTED ? "The helper process has died, and was started again."
                                                     : "A helper process that hangs was replaced by a new one.");
                return;
        }

        log_begin(&record, d->log, LOG_ERR);
        log_id(&record, MESSAGE_HELPER_FAILED);
        log_field(&record, "ERRNO", "%d", -e->error);
        log_field(&record, "FDPASS_REASON", "%s", strerror(-e->error));
        log_commit(&record, "The helper process could not be started: %s.", strerror(-e->error));
}

static void diag_write_worker_reset(Diag *d, void *subject, uint64_t n) {
        const RouteStats *stats = subject;
        Worker *w = stats->worker;
        unsigned n_clients = w->n_reset_clients;
        LogRecord record;

        w->n_reset_clients = 0;
        w->reset_line++; /* from now on each client counts again */
        log_begin(&record, d->log, LOG_WARNING);
        log_id(&record, MESSAGE_WORKER_UNREAD);
        log_field(&record, "FDPASS_ROUTE", "%s", stats->unit);
        log_field(&record, "FDPASS_WORKER", "%s", w->path);
        log_field(&record, "FDPASS_N", "%u", n_clients);
        if (n == n_clients)
                log_commit(&record, "%s: worker %s went away with %u client%s unread; they are handed out again.",
                           stats->unit, w->path, n_clients, PLURAL(n_clients));
        else
                log_commit(&record, "%s: worker %s went away with %u client%s unread, in %" PRIu64
                           " attempts; they are handed out again.", stats->unit, w->path, n_clients,
                           PLURAL(n_clients), n);
}

void diag_worker_reset(Diag *d, const Route *route, Client *c) {
        Worker *w = route->worker;

        if (c->reset_worker != w->number || c->reset_line != w->reset_line)
                w->n_reset_clients++;
        c->reset_worker = w->number;
        c->reset_line = w->reset_line;
        diag_write_or_hold(d, &w->resets, route->stats, diag_write_worker_reset);
}

void diag_unknown_listener(Diag *d, const RouteConfig *route, const char *name, size_t n) {
        LogRecord record;

        log_begin(&record, d->log, LOG_WARNING);
        log_id(&record, MESSAGE_UNKNOWN_LISTENER);
        log_field(&record, "FDPASS_ROUTE", "%s", route->unit);
        log_field(&record, "FDPASS_LISTENER", "%s", name);
        if (n == 1)
                log_commit(&record, "%s: there is no listener %s.", route->unit, name);
        else
                log_commit(&record, "%s: there is no listener %s; %zu more Listener= values have none.", route->unit,
                           name, n - 1);
}

void diag_loop(Diag *d, const Listener *l) {
        LogRecord record;
        uint64_t n;

        if (!ratelimit_test(&d->loops, loop_now(d->loop), INTERVAL_USEC, &n))
                return;

        log_begin(&record, d->log, LOG_ERR);
        log_field(&record, "FDPASS_LISTENER", "%s", l->name);
        log_field(&record, "FDPASS_N", "%" PRIu64, n);
        log_commit(&record, "%" PRIu64 " client%s on %s came through more than %u brokers and %s refused. A Worker= or "
                   "a socket unit of a worker seems to lead back to a broker: see fdpassctl list-workers.", n,
                   PLURAL(n), l->name, FDPASS_HOPS_MAX, n == 1 ? "is" : "are");
}

void diag_unknown_fallback(Diag *d, const RouteConfig *route) {
        LogRecord record;

        log_begin(&record, d->log, LOG_WARNING);
        log_id(&record, MESSAGE_UNKNOWN_FAILURE_ROUTE);
        log_field(&record, "FDPASS_ROUTE", "%s", route->unit);
        log_field(&record, "CONFIG_FILE", "%s", route->path);
        log_commit(&record, "%s: Fallback=%s names no other route, so its clients are refused.", route->unit,
                   route->failure_route);
}

void diag_flushers_differ(Diag *d, const RouteConfig *first, const RouteConfig *other) {
        LogRecord record;

        log_begin(&record, d->log, LOG_WARNING);
        log_field(&record, "FDPASS_ROUTE", "%s", other->unit);
        log_field(&record, "CONFIG_FILE", "%s", other->path);
        log_commit(&record, "%s: it shares its clients with %s, whose Flusher=, ResponseHeader= and ResponseStatus= hold for both.",
                   other->unit, first->unit);
}

static void diag_write_flusher_failed(Diag *d, void *subject, uint64_t n) {
        const Pool *p = subject;
        LogRecord record;

        diag_begin_route(&record, d, LOG_ERR, NULL, &p->routes[0]);
        log_field(&record, "FDPASS_N", "%" PRIu64, n);
        log_commit(&record, "%s: flusher %s fails: %" PRIu64 " client%s refused.", p->config->unit, p->config->flusher, n,
                   n == 1 ? " was" : "s were");
}

void diag_flusher_failed(Diag *d, Pool *p) {
        diag_write_or_hold(d, &p->flusher_failures, p, diag_write_flusher_failed);
}

void diag_no_resources(Diag *d, int error) {
        LogRecord record;
        uint64_t n;

        if (!ratelimit_test(&d->no_resources, loop_now(d->loop), INTERVAL_USEC, &n))
                return;

        log_begin(&record, d->log, LOG_ERR);
        log_id(&record, MESSAGE_NO_RESOURCES);
        log_field(&record, "ERRNO", "%d", -error);
        log_field(&record, "FDPASS_REASON", "%s", strerror(-error));
        log_commit(&record, "Handoffs fail for the moment, and clients wait: %s.", strerror(-error));
}

static void diag_write_accept_failed(Diag *d) {
        LogRecord record;

        log_begin(&record, d->log, LOG_ERR);
        log_id(&record, MESSAGE_ACCEPT_FAILED);
        log_field(&record, "ERRNO", "%d", -d->pause_error);
        log_field(&record, "FDPASS_REASON", "%s", strerror(-d->pause_error));
        log_commit(&record, "Accepting clients fails for the moment, and they wait in the backlog: %s.", strerror(-d->pause_error));
}

static void diag_write_broker_full(Diag *d) {
        LogRecord record;

        log_begin(&record, d->log, LOG_WARNING);
        log_id(&record, MESSAGE_BROKER_FULL);
        log_field(&record, "FDPASS_N", "%zu", d->pause_n_clients);
        log_commit(&record, "%zu clients are in the broker (MaxClients=), and no more are accepted for the moment.",
                   d->pause_n_clients);
}

/* Does nothing if the pause is over, because then the line need not be written. */
static void diag_write_paused(Diag *d, void *subject, uint64_t n) {
        if (!d->is_paused || d->pause_logged)
                return;

        d->pause_logged = true;
        if (d->pause_error < 0)
                diag_write_accept_failed(d);
        else
                diag_write_broker_full(d);
}

void diag_paused(Diag *d, int error, size_t n_clients) {
        d->is_paused = true;
        d->pause_error = error;
        d->pause_n_clients = n_clients;
        if (!d->pause_logged)
                diag_write_or_hold(d, &d->pauses, d, diag_write_paused);
}

void diag_resumed(Diag *d) {
        d->is_paused = false;
        if (!d->pause_logged)
                return;

        d->pause_logged = false;
        log_line_id(d->log, LOG_NOTICE, MESSAGE_ACCEPTS_AGAIN, "Clients are accepted again.");
}

static void diag_on_timer(void *userdata) {
        Diag *d = userdata;
        usec_t now = loop_now(d->loop);

        LIST_FOREACH(i, &d->held) {
                HeldLine *line = CONTAINER_OF(i, HeldLine, link);

                if (!diag_write_if_due(d, line, now))
                        timer_set(&d->timer, usec_add(line->limit.last, line->interval));
        }
}

int diag_init(Diag *d, Loop *loop, Log *log) {
        *d = (Diag){ .loop = loop, .log = log };
        list_init(&d->held);
        held_line_init(&d->pauses);
        held_line_init(&d->returns_full);
        for (size_t i = 0; i < _PARKED_LIMIT_MAX; i++)
                held_line_init(&d->parked_full[i]);
        return timer_init(&d->timer, loop, diag_on_timer, d);
}

void diag_done(Diag *d) {
        timer_done(&d->timer);
}

void diag_write_held(Diag *d) {
        d->is_paused = false; /* the pause ends with the broker, so diag_write_paused() writes nothing */
        LIST_FOREACH(i, &d->held)
                (void) diag_write_if_due(d, CONTAINER_OF(i, HeldLine, link), USEC_INFINITY);
}

void diag_write_held_of_pool(Diag *d, Pool *p) {
        (void) diag_write_if_due(d, &p->full, USEC_INFINITY);
        (void) diag_write_if_due(d, &p->expired, USEC_INFINITY);
        (void) diag_write_if_due(d, &p->flusher_failures, USEC_INFINITY);
}

void diag_stopped(Diag *d, size_t n) {
        LogRecord record;

        if (n == 0)
                return;

        log_begin(&record, d->log, LOG_WARNING);
        log_id(&record, MESSAGE_STOPPED_EARLY);
        log_field(&record, "FDPASS_N", "%zu", n);
        log_commit(&record, "Stopping although %zu client%s no receipt; systemd holds the workers' backlogs.",
                   n, n == 1 ? " has" : "s have");
}

void diag_handover_failed(Diag *d, size_t n, int error) {
        /* connect(2) to an AF_UNIX socket whose backlog is full fails with EAGAIN. */
        const char *why = errno_is_transient(error) ? "The backlog of the return socket is full" : strerror(-error);
        LogRecord record;

        if (d->handover_logged)
                return;

        d->handover_logged = true;
        log_begin(&record, d->log, LOG_WARNING);
        log_id(&record, MESSAGE_HANDOVER_FAILED);
        log_field(&record, "FDPASS_N", "%zu", n);
        log_field(&record, "ERRNO", "%d", -error);
        log_field(&record, "FDPASS_REASON", "%s", why);
        log_commit(&record, "%zu client%s could not be handed over to the next broker, and will be refused: %s.", n,
                   n == 1 ? "" : "s", why);
}

void diag_return_refused(Diag *d, const struct ucred *sender) {
        LogRecord record;
        uint64_t n;

        if (!ratelimit_test(&d->returns_refused, loop_now(d->loop), INTERVAL_USEC, &n))
                return;

        log_begin(&record, d->log, LOG_WARNING);
        log_id(&record, MESSAGE_RETURN_REFUSED);
        log_field(&record, "FDPASS_N", "%" PRIu64, n);
        log_field(&record, "FDPASS_PID", "%d", (int) sender->pid);
        log_commit(&record, "Process %d sent messages without a client to a return socket: %" PRIu64 " message%s refused.",
                   (int) sender->pid, n, PLURAL(n));
}

static void diag_add_request(LogRecord *record, const ClientRequest *r) {
        if (!r)
                return;

        if (*r->method)
                log_field(record, "FDPASS_METHOD", "%s", r->method);
        if (*r->host)
                log_field(record, "FDPASS_HOST", "%s", r->host);
        if (*r->path)
                log_field(record, "FDPASS_PATH", "%s", r->path);
}

/* Returns the request in parentheses for the end of a sentence, or "". */
static const char *diag_request(const Client *c, char ret[static REQUEST_TEXT_MAX + 4]) {
        char text[REQUEST_TEXT_MAX];

        ret[0] = '\0';
        if (c->request && *client_request_to_text(c->request, text, sizeof(text)))
                (void) snprintf(ret, REQUEST_TEXT_MAX + 4, " (%s)", text);
        return ret;
}

/* TLVs of SSL (PROXY protocol 2.2.6), and the fields that they become. */
static const struct {
        uint8_t type;
        bool is_of_certificate;
        const char *field;
} diag_tls_fields[] = {
        { FDPASS_SSL_TLV_NAME, false, "FDPASS_TLS_NAME" },
        { 0x21, false, "FDPASS_TLS_VERSION" },
        { 0x23, false, "FDPASS_TLS_CIPHER" },
        { 0x22, true, "FDPASS_TLS_CLIENT" },
};

/* The four bytes are the result of the verification. */
static bool diag_is_verified(Slice ssl) {
        return (ssl.p[1] | ssl.p[2] | ssl.p[3] | ssl.p[4]) == 0;
}

/* Adds the facts of the TLS that a stage, or a trusted proxy, has ended. Facts that were not told have no field. */
static void diag_add_tls(LogRecord *record, const Client *c) {
        Slice ssl = client_is_of_stage(c) ? c->context->ssl : c->context ? slice_find_tlv(c->context->proxy, PROXY_TLV_SSL) : (Slice){};

        if (ssl.n < FDPASS_SSL_TLVS_AT)
                return;

        for (size_t i = 0; i < ELEMENTSOF(diag_tls_fields); i++) {
                Slice value = slice_find_tlv(slice_skip(ssl, FDPASS_SSL_TLVS_AT), diag_tls_fields[i].type);

                if (value.n > 0 && (!diag_tls_fields[i].is_of_certificate || diag_is_verified(ssl)))
                        log_field(record, diag_tls_fields[i].field, "%.*s", (int) MIN(value.n, (size_t) FDPASS_TEXT_MAX),
                                  (const char *) value.p);
        }
}

void diag_begin_client(LogRecord *record, const Diag *d, const Client *c, char peer[static ADDRESS_TEXT_MAX]) {
        char id[CLIENT_ID_MAX];

        /* The address of an AF_UNIX client was not kept, only its family. */
        address_to_text(&c->address.sa, c->address.sa.sa_family == AF_UNIX ? sizeof(sa_family_t) : sizeof(c->address),
                        peer);

        log_begin(record, d->log, LOG_INFO);
        (void) client_id(c, id);
        log_field(record, "FDPASS_ID", "%s", id);
        log_field(record, "FDPASS_LISTENER", "%s", c->listener->name);
        log_field(record, "FDPASS_CLIENT", "%s", peer);
        if (c->is_rerouted)
                log_field(record, "FDPASS_REROUTED", "yes");
        diag_add_request(record, c->request);
        diag_add_tls(record, c);
}

void diag_taken(Diag *d, const Client *c) {
        char peer[ADDRESS_TEXT_MAX], request[REQUEST_TEXT_MAX + 4];
        LogRecord record;

        diag_begin_client(&record, d, c, peer);
        log_field(&record, "FDPASS_ROUTE", "%s", c->sent.route->config->unit);
        log_field(&record, "FDPASS_WORKER", "%s", c->sent.route->worker->path);
        log_commit(&record, "%s on %s: %staken by %s%s.", peer, c->listener->name, c->is_rerouted ? "rerouted, " : "",
                   c->sent.route->config->unit, diag_request(c, request));
}

void diag_answered(Diag *d, const Client *c) {
        const RouteConfig *route = c->pool->config;
        char peer[ADDRESS_TEXT_MAX], request[REQUEST_TEXT_MAX + 4];
        LogRecord record;

        if (d->log_handoffs < LOG_HANDOFFS_YES)
                return;

        diag_begin_client(&record, d, c, peer);
        log_field(&record, "FDPASS_ROUTE", "%s", route->unit);
        log_commit(&record, "%s on %s: answered by flusher %s of %s%s.", peer, c->listener->name, route->flusher, route->unit,
                   diag_request(c, request));
}
