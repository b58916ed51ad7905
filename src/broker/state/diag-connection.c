/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/state/diag-connection.h"

#include <inttypes.h>
#include <stdio.h>

#include "basic/message-ids.h"
#include "broker/state/client-context.h"

static void diag_connection_write_client(const Connection *c, char ret[static ADDRESS_TEXT_MAX]) {
        ClientAddress address = { .in6 = {
                .sin6_family = AF_INET6, .sin6_port = htons(c->port), .sin6_scope_id = c->scope_id,
        } };

        memcpy(&address.in6.sin6_addr, c->address, sizeof(c->address));
        if (IN6_IS_ADDR_UNSPECIFIED(&address.in6.sin6_addr))
                address.sa.sa_family = AF_UNSPEC;
        address_to_text(&address.sa, sizeof(address), ret);
}

static void diag_connection_add_fields(LogRecord *record, const ConnectionEnd *end, const char *client) {
        char own_id[CLIENT_OWN_ID_MAX];

        if (!(end->connection.flags & CONNECTION_HAS_ID))
                (void) client_format_id(own_id, end->connection.origin, end->connection.origin_id);

        log_field(record, "FDPASS_ID", "%s", end->connection.flags & CONNECTION_HAS_ID ? end->id : own_id);
        log_field(record, "FDPASS_LISTENER", "%s", end->listener);
        log_field(record, "FDPASS_CLIENT", "%s", client);
        log_field(record, "FDPASS_ROUTE", "%s", end->route->unit);
        log_field(record, "FDPASS_WORKER", "%s", end->route->worker->path);
}

static void diag_connection_add_counts(LogRecord *record, const SockReport *report) {
        if (!report->has_counts)
                return;

        log_field(record, "FDPASS_BYTES_IN", "%" PRIu64, report->n_in);
        log_field(record, "FDPASS_BYTES_OUT", "%" PRIu64, report->n_out);
        log_field(record, "FDPASS_RTT_USEC", "%" PRIu64, report->rtt);
        log_field(record, "FDPASS_RETRANSMITS", "%" PRIu32, report->n_retransmits);
}

/* Writes the sentence about the end behind the names, as "1.234 s, 300 bytes in, 5000 bytes out". */
static void diag_connection_describe(const ConnectionEnd *end, char *ret, size_t size) {
        usec_t ms = end->duration / USEC_PER_MSEC;
        int n = snprintf(ret, size, "%" PRIu64 ".%03u s", ms / 1000, (unsigned) (ms % 1000));

        if (end->report.has_counts)
                (void) snprintf(ret + n, size - (size_t) n, ", %" PRIu64 " bytes in, %" PRIu64 " bytes out", end->report.n_in, end->report.n_out);
        else
                (void) snprintf(ret + n, size - (size_t) n, ", reset by the worker, which clears the counts of bytes");
}

bool diag_connection_ended(const Diag *d, const ConnectionEnd *end, bool is_last) {
        char client[ADDRESS_TEXT_MAX], text[128] = "its end was not seen";
        LogRecord record;

        diag_connection_write_client(&end->connection, client);
        log_begin(&record, d->log, LOG_INFO);
        log_id(&record, end->is_seen ? MESSAGE_CONNECTION_ENDED : MESSAGE_CONNECTION_UNSEEN);
        diag_connection_add_fields(&record, end, client);
        if (end->is_seen) {
                log_field(&record, "FDPASS_DURATION_USEC", "%" PRIu64, end->duration);
                diag_connection_add_counts(&record, &end->report);
                diag_connection_describe(end, text, sizeof(text));
        }

        if (!is_last)
                return log_try_commit(&record, "%s on %s: ended at %s: %s.", client, end->listener, end->route->unit, text);

        log_commit(&record, "%s on %s: ended at %s: %s.", client, end->listener, end->route->unit, text);
        return true;
}

static void diag_connection_write_lost(Diag *d, void *subject, uint64_t n) {
        LogRecord record;

        log_begin(&record, d->log, LOG_WARNING);
        log_id(&record, MESSAGE_REPORTS_LOST);
        log_field(&record, "FDPASS_N", "%" PRIu64, n);
        log_commit(&record, "The kernel dropped reports about connections that ended, because too many ended at once. The "
                   "counts are right again in some seconds. ReceiveBuffer= of fdpass-connections.socket makes room for more.");
}

void diag_reports_lost(Diag *d, HeldLine *line) {
        diag_write_or_hold(d, line, d, diag_connection_write_lost);
}

void diag_connections_failed(const Diag *d, const char *what, int error) {
        log_line(d->log, LOG_ERR, "Live connections can't be counted: failed to %s: %s.", what, strerror(-error));
}
