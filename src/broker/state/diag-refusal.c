/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Log lines about clients that are refused, or ended because there are too many. */

#include <inttypes.h>
#include <stdio.h>

#include "basic/address.h"
#include "basic/message-ids.h"
#include "broker/state/diag.h"
#include "broker/state/source-rate.h"

#define PLURAL(n) ((n) == 1 ? "" : "s")

/* As PLURAL(), with the verb. */
#define WERE(n) ((n) == 1 ? " was" : "s were")

static void diag_add_source(OneSource *s, const Client *c) {
        s->is_mixed = s->is_mixed || (s->is_known && source_hash(&s->address) != source_hash(&c->address));
        s->is_known = true;
        s->address = c->address;
}

static bool diag_is_ip(const ClientAddress *a) {
        return a->sa.sa_family == AF_INET || a->sa.sa_family == AF_INET6;
}

/* Writes "; all came from 192.0.2.1" if the @n clients came from one address, or "", and begins anew. */
static const char *diag_take_source(OneSource *s, uint64_t n, char *ret, size_t size) {
        char address[ADDRESS_TEXT_MAX];

        ret[0] = '\0';
        if (s->is_known && !s->is_mixed && diag_is_ip(&s->address)) {
                address_to_host(&s->address.sa, sizeof(s->address), address);
                (void) snprintf(ret, size, "; %s came from %s", n == 1 ? "it" : "all", address);
        }

        *s = (OneSource){};
        return ret;
}

/* Writes ", 64 are allowed" for a limit whose value the listener knows, or "". */
static const char *diag_limit_of(const RefusalLine *line, char *ret, size_t size) {
        const SourceHit *hit = &line->listener->hits[line->why];
        char text[SOURCE_RATE_TEXT_MAX];

        ret[0] = '\0';
        if (hit->limit.n > 0)
                (void) snprintf(ret, size, ", %s are allowed", source_rate_to_text(&hit->limit, text));

        return ret;
}

static void diag_write_refusals(Diag *d, void *subject, uint64_t n) {
        RefusalLine *line = subject;
        bool is_limit = refusal_is_limit(line->why);
        char source[ADDRESS_TEXT_MAX + 32], limit[64];
        LogRecord record;

        log_begin(&record, d->log, is_limit || line->why == REFUSAL_UNTRUSTED || line->why == REFUSAL_ADDRESS_LOST ? LOG_WARNING : LOG_NOTICE);
        log_id(&record, is_limit ? MESSAGE_LIMIT : MESSAGE_REFUSED);
        log_field(&record, "FDPASS_LISTENER", "%s", line->listener->name);
        log_field(&record, "FDPASS_REASON", "%s", refusal_detail_to_string(line->why, line->reason));
        log_field(&record, "FDPASS_N", "%" PRIu64, n);
        log_commit(&record, "Listener %s: %" PRIu64 " client%s refused: %s (%s)%s%s.", line->listener->name, n, WERE(n),
                   refusal_detail_sentence(line->why, line->reason), refusal_detail_to_string(line->why, line->reason),
                   diag_limit_of(line, limit, sizeof(limit)),
                   diag_take_source(&line->source, n, source, sizeof(source)));
}

static void diag_write_no_route(Diag *d, void *subject, uint64_t n) {
        RefusalLine *line = subject;
        LogRecord record;

        line->source = (OneSource){};
        log_begin(&record, d->log, LOG_WARNING);
        log_id(&record, MESSAGE_NO_ROUTE);
        log_field(&record, "FDPASS_LISTENER", "%s", line->listener->name);
        log_field(&record, "FDPASS_REASON", "%s", refusal_to_string(REFUSAL_NO_ROUTE));
        log_field(&record, "FDPASS_N", "%" PRIu64, n);
        log_commit(&record, "No route takes clients of listener %s: %" PRIu64 " refused (no-route).",
                   line->listener->name, n);
}

/* True if another function of this file, or diag_flusher_failed(), writes the line, with the name of the route. */
static bool diag_has_own_line(Refusal why) {
        return why == REFUSAL_QUEUE_FULL || why == REFUSAL_TIMEOUT;
}

static void diag_sum_up(Diag *d, const Client *c, Refusal why, ProbeReason reason) {
        Listener *l = c->listener;
        RefusalLine *line = reason == PROBE_REASON_NONE ? &l->refusals[why] : &l->malformed[reason];

        if (diag_has_own_line(why))
                return;

        diag_add_source(&line->source, c);
        diag_write_or_hold(d, &line->held, line, why == REFUSAL_NO_ROUTE ? diag_write_no_route : diag_write_refusals);
}

void diag_refused(Diag *d, const Client *c, Refusal why, ProbeReason reason) {
        const char *route = c->pool ? c->pool->config->unit : NULL;
        char peer[ADDRESS_TEXT_MAX];
        LogRecord record;

        diag_sum_up(d, c, why, reason);
        if (d->log_handoffs < LOG_HANDOFFS_FAILURES)
                return;

        diag_begin_client(&record, d, c, peer);
        if (route)
                log_field(&record, "FDPASS_ROUTE", "%s", route);
        log_field(&record, "FDPASS_REASON", "%s", refusal_detail_to_string(why, reason));
        log_commit(&record, "%s on %s: refused%s%s: %s (%s).", peer, c->listener->name, route ? " by " : "",
                   route ? route : "", refusal_detail_sentence(why, reason), refusal_detail_to_string(why, reason));
}

static void diag_write_queue_full(Diag *d, void *subject, uint64_t n) {
        Pool *p = subject;
        size_t n_workers = p->n_clients - p->n_queued;
        char source[ADDRESS_TEXT_MAX + 32];
        LogRecord record;

        (void) diag_take_source(&p->full_source, n, source, sizeof(source));
        diag_begin_route(&record, d, LOG_WARNING, MESSAGE_QUEUE_FULL, &p->routes[0]);
        log_field(&record, "FDPASS_REASON", "%s", refusal_to_string(REFUSAL_QUEUE_FULL));
        log_field(&record, "FDPASS_N", "%" PRIu64, n);
        if (p->n_queued >= p->max_queued)
                log_commit(&record, "%s: %" PRIu64 " client%s refused: %zu are in the queue already (MaxQueued=%zu), "
                           "and workers have %zu that they have not taken (MaxPending=)%s.", p->config->unit, n,
                           WERE(n), p->n_queued, p->max_queued, n_workers, source);
        else
                log_commit(&record, "%s: %" PRIu64 " client%s refused: the pool may have half of MaxClients=; %zu are "
                           "in the queue already, and workers have %zu that they have not taken%s.", p->config->unit,
                           n, WERE(n), p->n_queued, n_workers, source);
}

void diag_queue_full(Diag *d, Pool *p, const Client *c) {
        diag_add_source(&p->full_source, c);
        p->n_clients--; /* does not count the refused client */
        diag_write_or_hold(d, &p->full, p, diag_write_queue_full);
        p->n_clients++;
}

static void diag_write_client_expired(Diag *d, void *subject, uint64_t n) {
        const Pool *p = subject;
        LogRecord record;

        diag_begin_route(&record, d, LOG_WARNING, MESSAGE_QUEUE_TIMEOUT, &p->routes[0]);
        log_field(&record, "FDPASS_REASON", "%s", refusal_to_string(REFUSAL_TIMEOUT));
        log_field(&record, "FDPASS_N", "%" PRIu64, n);
        if (p->queue_timeout > 0)
                log_commit(&record, "%s: %" PRIu64 " client%s waited %" PRIu64 " s for a worker in vain.",
                           p->config->unit, n, PLURAL(n), (p->queue_timeout + USEC_PER_SEC - 1) / USEC_PER_SEC);
        else
                log_commit(&record, "%s: %" PRIu64 " client%s found no worker with room, and may not wait.",
                           p->config->unit, n, PLURAL(n));
}

void diag_client_expired(Diag *d, Pool *p) {
        diag_write_or_hold(d, &p->expired, p, diag_write_client_expired);
}

static const char *const diag_parked_keys[_PARKED_LIMIT_MAX] = {
        [PARKED_LIMIT_ALL] = "MaxParked= is reached",
        [PARKED_LIMIT_SOURCE] = "their addresses have as many as MaxClientsPerSource= or MaxConnectionsPerSource= allows",
        [PARKED_LIMIT_PLACES] = "new clients need their descriptors (LimitNOFILE=)",
};

static void diag_write_parked(Diag *d, ParkedLimit limit, uint64_t n) {
        LogRecord record;

        log_begin(&record, d->log, LOG_NOTICE);
        log_id(&record, MESSAGE_PARKED_ENDED);
        log_field(&record, "FDPASS_N", "%" PRIu64, n);
        log_commit(&record, "%" PRIu64 " parked client%s ended, because %s.", n, WERE(n), diag_parked_keys[limit]);
}

static void diag_write_parked_all(Diag *d, void *subject, uint64_t n) {
        diag_write_parked(d, PARKED_LIMIT_ALL, n);
}

static void diag_write_parked_source(Diag *d, void *subject, uint64_t n) {
        diag_write_parked(d, PARKED_LIMIT_SOURCE, n);
}

static void diag_write_parked_places(Diag *d, void *subject, uint64_t n) {
        diag_write_parked(d, PARKED_LIMIT_PLACES, n);
}

void diag_parked_ended(Diag *d, ParkedLimit limit) {
        static void (*const write[_PARKED_LIMIT_MAX])(Diag *, void *, uint64_t) = {
                [PARKED_LIMIT_ALL] = diag_write_parked_all,
                [PARKED_LIMIT_SOURCE] = diag_write_parked_source,
                [PARKED_LIMIT_PLACES] = diag_write_parked_places,
        };

        diag_write_or_hold(d, &d->parked_full[limit], d, write[limit]);
}

static void diag_write_returns_full(Diag *d, void *subject, uint64_t n) {
        LogRecord record;

        log_begin(&record, d->log, LOG_WARNING);
        log_id(&record, MESSAGE_LIMIT);
        log_field(&record, "FDPASS_N", "%" PRIu64, n);
        log_commit(&record, "%" PRIu64 " client%s handed back by workers, and not taken: MaxClients= is reached.", n,
                   WERE(n));
}

void diag_returns_full(Diag *d) {
        diag_write_or_hold(d, &d->returns_full, d, diag_write_returns_full);
}
