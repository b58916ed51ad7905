/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/openmetrics.h"

#include "basic/histogram.h"
#include "fdpassctl/openmetrics-certificates.h"
#include "fdpassctl/openmetrics-connections.h"

static void openmetrics_write_broker(const OpenMetrics *w, const Value *properties) {
        const Value *clients = value_get(properties, "Clients"), *n = value_get(properties, "Counters");

        openmetrics_begin(w, "fdpass_build_info", "gauge", NULL, "The version of the broker.");
        openmetrics_sample(w, "fdpass_build_info", OPENMETRICS_LABELS("version", value_string(properties, "Version")),
                           1);

        openmetrics_begin(w, "fdpass_start_time_seconds", "gauge", "seconds", "When the broker started, since 1970.");
        openmetrics_sample_seconds(w, "fdpass_start_time_seconds", NULL, value_number(properties, "StartedUSec"));
        openmetrics_begin(w, "fdpass_load_time_seconds", "gauge", "seconds",
                          "When the units were read last, since 1970.");
        openmetrics_sample_seconds(w, "fdpass_load_time_seconds", NULL, value_number(properties, "LoadedUSec"));
        openmetrics_simple(w, "fdpass_reload_failed", "gauge", "1 while the units that were read last are not in use.",
               value_number(properties, "ReloadFailed"));
        openmetrics_simple(w, "fdpass_accepting", "gauge", "0 while no clients are accepted.",
               streq(value_string(properties, "State"), "running"));

        openmetrics_simple(w, "fdpass_draining", "gauge", "1 while the host is drained.", value_number(properties, "Draining"));

        openmetrics_begin(w, "fdpass_clients", "gauge", NULL, "Clients in the broker, by state.");
        for (size_t i = 0; i < clients->n_items; i++)
                openmetrics_sample(w, "fdpass_clients", OPENMETRICS_LABELS("state", clients->items[i].name),
                                   clients->items[i].u);
        openmetrics_simple(w, "fdpass_clients_max", "gauge", "The most clients that the broker takes.",
                           value_number(properties, "MaxClients"));
        openmetrics_simple(w, "fdpass_clients_returned", "counter", "Clients that were handed back.",
                           value_number(n, "Returned"));
        openmetrics_simple(w, "fdpass_clients_handed_over", "counter",
                           "Clients that were handed over to the next process.",
               value_number(n, "HandedOver"));
        openmetrics_simple(w, "fdpass_clients_gone", "counter", "Clients that left before a worker took them.",
                           value_number(n, "Gone"));
        openmetrics_simple(w, "fdpass_log_dropped", "counter",
                           "Log lines that were dropped, because the journal did not take them.",
               value_number(properties, "LogDropped"));
}

/* Prints the refusals of each row by their reasons. The label @label is the entry @key. */
static void openmetrics_write_refusals(const OpenMetrics *w, const Value *rows, const char *name, const char *label,
                                       const char *key) {
        for (size_t i = 0; i < rows->n_items; i++) {
                const char *value = value_string(&rows->items[i], key);
                const Value *refusals = value_get(&rows->items[i], "Refusals");

                for (size_t k = 0; k < refusals->n_items; k++)
                        openmetrics_sample(w, name,
                                           OPENMETRICS_LABELS(label, value, "reason", refusals->items[k].name),
                                           refusals->items[k].u);
        }
}

static void openmetrics_write_listeners(const OpenMetrics *w, const Value *listeners) {
        openmetrics_begin(w, "fdpass_accepts", "counter", NULL, "Clients that were accepted.");
        openmetrics_write_rows(w, listeners, "fdpass_accepts_total", "listener", "Name", "Accepted");

        openmetrics_begin(w, "fdpass_refusals", "counter", NULL, "Clients that got no worker.");
        openmetrics_write_refusals(w, listeners, "fdpass_refusals_total", "listener", "Name");
}

static void openmetrics_write_handoffs(const OpenMetrics *w, const Value *routes) {
        static const struct {
                const char *entry, *result;
        } results[] = {
                { "Taken", "taken" }, { "Unread", "unread" }, { "Declined", "declined" }, { "Failed", "failed" },
        };

        openmetrics_begin(w, "fdpass_handoffs", "counter", NULL, "Handoffs to workers, by how they ended.");
        for (size_t i = 0; i < routes->n_items; i++) {
                const Value *row = &routes->items[i];

                for (size_t k = 0; *value_string(row, "Worker") && k < ELEMENTSOF(results); k++)
                        openmetrics_sample(w, "fdpass_handoffs_total",
                               OPENMETRICS_LABELS("route", value_string(row, "Unit"), "worker",
                                                  value_string(row, "Worker"), "result",
                                      results[k].result),
                               value_number(row, results[k].entry));
        }

        openmetrics_begin(w, "fdpass_reroutes", "counter", NULL,
              "Taken handoffs of clients that a worker had handed back for their next request.");
        for (size_t i = 0; i < routes->n_items; i++)
                if (*value_string(&routes->items[i], "Worker"))
                        openmetrics_sample(w, "fdpass_reroutes_total",
                                           OPENMETRICS_LABELS("route", value_string(&routes->items[i], "Unit"), "worker",
                                                              value_string(&routes->items[i], "Worker")),
                                           value_number(&routes->items[i], "Rerouted"));

        openmetrics_begin(w, "fdpass_route_answers", "counter", NULL,
              "Clients that a flusher of the route's pool answered, at its first route. No worker got them.");
        openmetrics_write_rows(w, routes, "fdpass_route_answers_total", "route", "Unit", "Answered");

        openmetrics_begin(w, "fdpass_route_refusals", "counter", NULL,
              "Clients of a route's pool that got no worker, at its first route.");
        openmetrics_write_refusals(w, routes, "fdpass_route_refusals_total", "route", "Unit");
}

/* The queue belongs to the pool, which is shown once: as its first route. */
static void openmetrics_write_queues(const OpenMetrics *w, const Value *routes, const char *name, const char *entry,
                                     const char *help) {
        openmetrics_begin(w, name, "gauge", NULL, help);
        for (size_t i = 0; i < routes->n_items; i++) {
                const Value *row = &routes->items[i];

                if (streq(value_string(row, "Unit"), value_string(row, "Pool")))
                        openmetrics_sample(w, name, OPENMETRICS_LABELS("route", value_string(row, "Unit")),
                                           value_number(row, entry));
        }
}

static void openmetrics_write_routes(const OpenMetrics *w, const Value *routes) {
        static const OpenMetricsHistogram times = { "fdpass_handoff_seconds", "HandoffTimes", "HandoffTimeSumUSec",
                                                    HISTOGRAM_FIRST_USEC };

        openmetrics_write_handoffs(w, routes);

        openmetrics_begin(w, "fdpass_handoff_seconds", "histogram", "seconds",
              "From a client's arrival, or its next request, to the worker's receipt.");
        for (size_t i = 0; i < routes->n_items; i++)
                if (*value_string(&routes->items[i], "Worker"))
                        openmetrics_write_histogram(w, &routes->items[i], &times);

        openmetrics_write_queues(w, routes, "fdpass_queue_clients", "Queued",
                                 "Clients in the queue of a route's pool.");
        openmetrics_write_queues(w, routes, "fdpass_queue_clients_max", "MaxQueued",
                                 "The most clients that this queue takes.");
}

static void openmetrics_write_workers(const OpenMetrics *w, const Value *workers) {
        openmetrics_begin(w, "fdpass_worker_up", "gauge", NULL, "0 while a worker's socket can't be reached.");
        for (size_t i = 0; i < workers->n_items; i++)
                openmetrics_sample(w, "fdpass_worker_up",
                                   OPENMETRICS_LABELS("worker", value_string(&workers->items[i], "Worker")),
                                   !streq(value_string(&workers->items[i], "State"), "gone"));

        openmetrics_begin(w, "fdpass_worker_drained", "gauge", NULL, "1 while a worker is drained.");
        openmetrics_write_rows(w, workers, "fdpass_worker_drained", "worker", "Worker", "Drained");

        openmetrics_begin(w, "fdpass_worker_pending", "gauge", NULL,
                          "Clients that were sent to a worker and have no receipt yet.");
        openmetrics_write_rows(w, workers, "fdpass_worker_pending", "worker", "Worker", "Pending");
}

void openmetrics_write(FILE *f, const Snapshot *s, const Certificates *c, MetricsFormat format) {
        OpenMetrics w = { f, format };

        openmetrics_write_broker(&w, &s->properties);
        openmetrics_write_listeners(&w, &s->listeners);
        openmetrics_write_routes(&w, &s->routes);
        openmetrics_write_workers(&w, &s->workers);
        openmetrics_write_connections(&w, s);
        openmetrics_write_certificates(&w, c);

        if (format == METRICS_OPENMETRICS)
                fputs("# EOF\n", f);
}
