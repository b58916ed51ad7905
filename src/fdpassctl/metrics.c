/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpassctl metrics: all counters, for Prometheus and its like. */

#include "fdpassctl/metrics.h"

#include <inttypes.h>
#include <stdio.h>

#include "basic/utf8.h"
#include "broker/stats.h"
#include "fdpassctl/fdpassctl.h"

typedef struct Writer {
        FILE *f;
        MetricsFormat format;
} Writer;

/* All samples of one family stand together, behind this. */
static void begin(const Writer *w, const char *name, const char *type, const char *unit, const char *help) {
        bool old_counter = w->format == METRICS_PROMETHEUS && streq(type, "counter");
        const char *suffix = old_counter ? "_total" : "";

        fprintf(w->f, "# HELP %s%s %s\n", name, suffix, help);
        fprintf(w->f, "# TYPE %s%s %s\n", name, suffix, type);
        if (unit && w->format == METRICS_OPENMETRICS)
                fprintf(w->f, "# UNIT %s %s\n", name, unit);
}

/* Escapes @s (OpenMetrics, "Escaping"). A byte that would act on a terminal is \\xNN, because curl shows it as it comes. */
static void label_value(const Writer *w, const char *s) {
        for (size_t n; *s; s += MAX(n, (size_t) 1)) {
                n = utf8_printable(s);

                if (*s == '\n')
                        fputs("\\n", w->f);
                else if (*s == '"' || *s == '\\')
                        fprintf(w->f, "\\%c", *s);
                else if (n == 0)
                        fprintf(w->f, "\\\\x%02x", (unsigned) (unsigned char) *s);
                else
                        fwrite(s, 1, n, w->f);
        }
}

/* Names and values in turn, NULL at the end. */
static void labels(const Writer *w, const char *const *pairs) {
        const char *separator = "{";

        for (; pairs && pairs[0]; pairs += 2, separator = ",") {
                fprintf(w->f, "%s%s=\"", separator, pairs[0]);
                label_value(w, pairs[1]);
                fputc('"', w->f);
        }
        if (*separator == ',')
                fputc('}', w->f);
}

#define LABELS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void sample(const Writer *w, const char *name, const char *const *pairs, uint64_t n) {
        fputs(name, w->f);
        labels(w, pairs);
        fprintf(w->f, " %" PRIu64 "\n", n);
}

/* µs, as seconds. */
static void sample_seconds(const Writer *w, const char *name, const char *const *pairs, usec_t span) {
        fputs(name, w->f);
        labels(w, pairs);
        fprintf(w->f, " %" PRIu64 ".%06" PRIu64 "\n", span / USEC_PER_SEC, span % USEC_PER_SEC);
}

static void simple(const Writer *w, const char *name, const char *type, const char *help, uint64_t n) {
        bool is_counter = streq(type, "counter");
        char sample_name[64];

        (void) snprintf(sample_name, sizeof(sample_name), "%s%s", name, is_counter ? "_total" : "");
        begin(w, name, type, NULL, help);
        sample(w, sample_name, NULL, n);
}

static void write_broker(const Writer *w, const Value *properties) {
        const Value *clients = value_get(properties, "Clients"), *n = value_get(properties, "Counters");

        begin(w, "fdpass_build_info", "gauge", NULL, "The version of the broker.");
        sample(w, "fdpass_build_info", LABELS("version", value_string(properties, "Version")), 1);

        begin(w, "fdpass_start_time_seconds", "gauge", "seconds", "When the broker started, since 1970.");
        sample_seconds(w, "fdpass_start_time_seconds", NULL, value_number(properties, "StartedUSec"));
        begin(w, "fdpass_load_time_seconds", "gauge", "seconds", "When the units were read last, since 1970.");
        sample_seconds(w, "fdpass_load_time_seconds", NULL, value_number(properties, "LoadedUSec"));
        simple(w, "fdpass_reload_failed", "gauge", "1 where the units that were read last are not in effect.",
               value_number(properties, "ReloadFailed"));
        simple(w, "fdpass_accepting", "gauge", "0 while no clients are accepted.",
               streq(value_string(properties, "State"), "running"));

        begin(w, "fdpass_clients", "gauge", NULL, "Clients in the broker, by what they wait for.");
        for (size_t i = 0; i < clients->n_items; i++)
                sample(w, "fdpass_clients", LABELS("state", clients->items[i].name), clients->items[i].u);
        simple(w, "fdpass_clients_max", "gauge", "So many may be in the broker.", value_number(properties, "MaxClients"));
        simple(w, "fdpass_clients_returned", "counter", "Clients that were handed back.", value_number(n, "Returned"));
        simple(w, "fdpass_clients_passed_on", "counter", "Clients that were left to the next process.",
               value_number(n, "PassedOn"));
        simple(w, "fdpass_clients_gone", "counter", "Clients that left before a worker had them.", value_number(n, "Gone"));
        simple(w, "fdpass_log_dropped", "counter", "Log lines that the journal did not take.",
               value_number(properties, "LogDropped"));
}

static void write_refusals(const Writer *w, const char *name, const char *label, const char *value, const Value *row) {
        const Value *refusals = value_get(row, "Refusals");

        for (size_t i = 0; i < refusals->n_items; i++)
                sample(w, name, LABELS(label, value, "reason", refusals->items[i].name), refusals->items[i].u);
}

static void write_listeners(const Writer *w, const Value *listeners) {
        begin(w, "fdpass_accepts", "counter", NULL, "Clients that were accepted.");
        for (size_t i = 0; i < listeners->n_items; i++)
                sample(w, "fdpass_accepts_total", LABELS("listener", value_string(&listeners->items[i], "Name")),
                       value_number(&listeners->items[i], "Accepted"));

        begin(w, "fdpass_refusals", "counter", NULL, "Clients that got no worker.");
        for (size_t i = 0; i < listeners->n_items; i++)
                write_refusals(w, "fdpass_refusals_total", "listener", value_string(&listeners->items[i], "Name"),
                               &listeners->items[i]);
}

static void write_handoffs(const Writer *w, const Value *routes) {
        static const struct {
                const char *entry, *result;
        } results[] = { { "Taken", "taken" }, { "Unread", "unread" }, { "Declined", "declined" }, { "Failed", "failed" } };

        begin(w, "fdpass_handoffs", "counter", NULL, "Handoffs to workers, by how they ended.");
        for (size_t i = 0; i < routes->n_items; i++) {
                const Value *row = &routes->items[i];

                for (size_t k = 0; k < ELEMENTSOF(results); k++)
                        sample(w, "fdpass_handoffs_total",
                               LABELS("route", value_string(row, "Unit"), "worker", value_string(row, "Worker"), "result",
                                      results[k].result),
                               value_number(row, results[k].entry));
        }

        begin(w, "fdpass_route_refusals", "counter", NULL,
              "Clients of a route's pool that got no worker, at its first route.");
        for (size_t i = 0; i < routes->n_items; i++)
                write_refusals(w, "fdpass_route_refusals_total", "route", value_string(&routes->items[i], "Unit"),
                               &routes->items[i]);
}

/* Every other bucket: factors of four are fine enough to see, and cheap to keep. */
static void write_histogram(const Writer *w, const Value *row) {
        const char *unit = value_string(row, "Unit"), *worker = value_string(row, "Worker");
        const Value *times = value_get(row, "HandoffTimes");
        uint64_t sum = 0;
        char bound[32];

        for (size_t i = 0; i < times->n_items; i++) {
                usec_t span = HISTOGRAM_FIRST_USEC << i;

                sum += times->items[i].u;
                if (i % 2 != 0 || i + 1 >= times->n_items)
                        continue;

                (void) snprintf(bound, sizeof(bound), "%" PRIu64 ".%06" PRIu64, span / USEC_PER_SEC, span % USEC_PER_SEC);
                sample(w, "fdpass_handoff_seconds_bucket", LABELS("route", unit, "worker", worker, "le", bound), sum);
        }

        sample(w, "fdpass_handoff_seconds_bucket", LABELS("route", unit, "worker", worker, "le", "+Inf"), sum);
        sample(w, "fdpass_handoff_seconds_count", LABELS("route", unit, "worker", worker), sum);
        sample_seconds(w, "fdpass_handoff_seconds_sum", LABELS("route", unit, "worker", worker),
                       value_number(row, "HandoffTimeSumUSec"));
}

/* Of the pool, once: at its first route. */
static void write_queues(const Writer *w, const Value *routes, const char *name, const char *entry, const char *help) {
        begin(w, name, "gauge", NULL, help);
        for (size_t i = 0; i < routes->n_items; i++) {
                const Value *row = &routes->items[i];

                if (streq(value_string(row, "Unit"), value_string(row, "Pool")))
                        sample(w, name, LABELS("route", value_string(row, "Unit")), value_number(row, entry));
        }
}

static void write_routes(const Writer *w, const Value *routes) {
        write_handoffs(w, routes);

        begin(w, "fdpass_handoff_seconds", "histogram", "seconds",
              "From a client's arrival, or its next request, to the worker's receipt.");
        for (size_t i = 0; i < routes->n_items; i++)
                write_histogram(w, &routes->items[i]);

        write_queues(w, routes, "fdpass_queue_clients", "Queued", "Clients in the queue of a route's pool.");
        write_queues(w, routes, "fdpass_queue_clients_max", "MaxQueued", "So many may be in that queue.");
}

static void write_workers(const Writer *w, const Value *workers) {
        begin(w, "fdpass_worker_up", "gauge", NULL, "0 while a worker's socket can't be reached.");
        for (size_t i = 0; i < workers->n_items; i++)
                sample(w, "fdpass_worker_up", LABELS("worker", value_string(&workers->items[i], "Worker")),
                       !streq(value_string(&workers->items[i], "State"), "gone"));

        begin(w, "fdpass_worker_drained", "gauge", NULL, "1 while a worker gets no more clients, as it was told.");
        for (size_t i = 0; i < workers->n_items; i++)
                sample(w, "fdpass_worker_drained", LABELS("worker", value_string(&workers->items[i], "Worker")),
                       value_number(&workers->items[i], "Drained"));

        begin(w, "fdpass_worker_pending", "gauge", NULL, "Clients in a worker's backlog.");
        for (size_t i = 0; i < workers->n_items; i++)
                sample(w, "fdpass_worker_pending", LABELS("worker", value_string(&workers->items[i], "Worker")),
                       value_number(&workers->items[i], "Pending"));
}

void metrics_write(FILE *f, const Snapshot *s, MetricsFormat format) {
        Writer w = { f, format };

        write_broker(&w, &s->properties);
        write_listeners(&w, &s->listeners);
        write_routes(&w, &s->routes);
        write_workers(&w, &s->workers);

        if (format == METRICS_OPENMETRICS)
                fputs("# EOF\n", f);
}

typedef struct Options {
        MetricsFormat format;
        bool serve;
        ServeNames names;
} Options;

enum { ARG_FORMAT = 0x100, ARG_SERVE, ARG_HOST };

static int help_metrics(void) {
        printf("fdpassctl metrics [OPTIONS...]\n\n"
               "Print all counters of the broker.\n\n"
               "     --format=FORM    openmetrics, or prometheus: its older text form\n"
               "     --serve          Serve them over HTTP on the socket from systemd\n"
               "     --host=NAME      Serve them to requests for this name, too\n"
               "  -h --help           Show this help\n");
        return 0;
}

static int take_option(void *userdata, int option, const char *value) {
        Options *o = userdata;

        switch (option) {

        case 'h':
                return help_metrics();
        case ARG_SERVE:
                o->serve = true;
                return 1;
        case ARG_HOST:
                if (o->names.n == ELEMENTSOF(o->names.names)) {
                        fprintf(stderr, "--host=%s: at most %zu names.\n", value, o->names.n);
                        return -EINVAL;
                }
                o->names.names[o->names.n++] = value;
                return 1;
        case ARG_FORMAT:
                if (!streq(value, "openmetrics") && !streq(value, "prometheus")) {
                        fprintf(stderr, "--format=%s: openmetrics or prometheus.\n", value);
                        return -EINVAL;
                }
                o->format = streq(value, "prometheus") ? METRICS_PROMETHEUS : METRICS_OPENMETRICS;
                return 1;
        default:
                return -ENOTSUP;
        }
}

int verb_metrics(int argc, char *argv[]) {
        static const struct option options[] = {
                { "format", required_argument, NULL, ARG_FORMAT },
                { "serve", no_argument, NULL, ARG_SERVE },
                { "host", required_argument, NULL, ARG_HOST },
                {},
        };
        _cleanup_(snapshot_done) Snapshot s = {};
        _cleanup_bus_ sd_bus *bus = NULL;
        Options o = {};
        int i;

        i = parse_options(argc, argv, options, "", take_option, &o);
        if (i <= 0)
                return i < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        if (o.serve)
                return metrics_serve(&o.names);

        if (bus_open(&bus) < 0 || snapshot_take(bus, &s) < 0)
                return EXIT_FAILURE;

        metrics_write(stdout, &s, o.format);
        return EXIT_SUCCESS;
}
