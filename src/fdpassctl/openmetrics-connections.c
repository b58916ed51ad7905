/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/openmetrics-connections.h"

#include "connections/durations.h"

/* Prints two entries of each route, with the label @label that tells them apart. */
static void openmetrics_write_pair(const OpenMetrics *w, const Value *routes, const char *name, const char *label,
                                   const char *const entries[2][2]) {
        for (size_t i = 0; i < routes->n_items; i++)
                for (size_t k = 0; k < 2; k++)
                        openmetrics_sample(w, name,
                                           OPENMETRICS_LABELS("route", value_string(&routes->items[i], "Unit"), "worker",
                                                              value_string(&routes->items[i], "Worker"), label,
                                                              entries[k][0]),
                                           value_number(&routes->items[i], entries[k][1]));
}

static void openmetrics_write_connection_routes(const OpenMetrics *w, const Value *routes) {
        static const char *const ends[2][2] = { { "seen", "ConnectionsEnded" }, { "unseen", "ConnectionsUnseen" } };
        static const char *const directions[2][2] = { { "in", "BytesIn" }, { "out", "BytesOut" } };
        static const OpenMetricsHistogram times = { "fdpass_connection_seconds", "ConnectionTimes",
                                                    "ConnectionTimeSumUSec", CONNECTION_DURATION_FIRST };

        openmetrics_begin(w, "fdpass_connections", "gauge", NULL, "Connections that a route's worker has.");
        for (size_t i = 0; i < routes->n_items; i++)
                openmetrics_sample(w, "fdpass_connections",
                                   OPENMETRICS_LABELS("route", value_string(&routes->items[i], "Unit"), "worker",
                                                      value_string(&routes->items[i], "Worker")),
                                   value_number(&routes->items[i], "Connections"));

        openmetrics_begin(w, "fdpass_connections_ended", "counter", NULL,
                          "Connections that have ended. The broker has not seen the end of those with end=unseen.");
        openmetrics_write_pair(w, routes, "fdpass_connections_ended_total", "end", ends);

        openmetrics_begin(w, "fdpass_connection_bytes", "counter", "bytes",
                          "Bytes from clients (in) and to them (out), of connections that have ended or were handed back.");
        openmetrics_write_pair(w, routes, "fdpass_connection_bytes_total", "direction", directions);

        openmetrics_begin(w, "fdpass_connection_seconds", "histogram", "seconds",
                          "From a client's arrival to the end of its connection.");
        for (size_t i = 0; i < routes->n_items; i++)
                openmetrics_write_histogram(w, &routes->items[i], &times);
}

void openmetrics_write_connections(const OpenMetrics *w, const Snapshot *s) {
        const Value *connections = value_get(&s->properties, "Connections");

        if (connections->n_items == 0)
                return;

        openmetrics_write_connection_routes(w, &s->routes);

        openmetrics_begin(w, "fdpass_worker_connections", "gauge", NULL, "Connections that a worker has, by all routes.");
        openmetrics_write_rows(w, &s->workers, "fdpass_worker_connections", "worker", "Worker", "Connections");

        openmetrics_simple(w, "fdpass_connections_max", "gauge", "The most connections that are tracked.",
                           value_number(connections, "Max"));
        openmetrics_begin(w, "fdpass_connections_untracked", "counter", NULL,
                          "Connections that are not tracked: the table is full, or they are not TCP over IP.");
        openmetrics_sample(w, "fdpass_connections_untracked_total", OPENMETRICS_LABELS("reason", "full"),
                           value_number(connections, "Untracked"));
        openmetrics_sample(w, "fdpass_connections_untracked_total", OPENMETRICS_LABELS("reason", "not-tcp"),
                           value_number(connections, "Other"));
        openmetrics_simple(w, "fdpass_connections_lost", "counter",
                           "Times that the kernel dropped messages about ends, because the broker did not read them in time.",
                           value_number(connections, "Lost"));
}
