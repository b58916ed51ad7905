/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Log lines about live connections. */

#include "broker/state/diag.h"
#include "connections/sock-report.h"
#include "connections/table.h"

/* The end of a connection. It is a copy, because the line may have to wait for the journal. */
typedef struct ConnectionEnd {
        Connection connection;
        ConnectionRoute *route; /* one reference */
        const char *listener;   /* borrowed from the table */
        SockReport report;      /* valid with @is_seen */
        usec_t duration;        /* valid with @is_seen */
        bool is_seen;           /* the kernel has reported the end; false: only that the socket is gone */
        char id[CONNECTION_ID_MAX + 1];
} ConnectionEnd;

/* Writes the line about the end. Returns false if the journal does not take it now, unless @is_last. */
bool diag_connection_ended(const Diag *d, const ConnectionEnd *end, bool is_last);

/* The kernel dropped reports, so ends of connections were not seen. The subject of @line is the Diag. */
void diag_reports_lost(Diag *d, HeldLine *line);

/* Live connections can't be counted: @what can't be done because of @error, a negative errno. */
void diag_connections_failed(const Diag *d, const char *what, int error);
