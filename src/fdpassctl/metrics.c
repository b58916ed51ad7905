/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpassctl metrics: prints all counters, or serves them over HTTP. */

#include <stdio.h>

#include "fdpassctl/metrics-http.h"
#include "fdpassctl/openmetrics.h"
#include "fdpassctl/options.h"
#include "fdpassctl/running.h"
#include "fdpassctl/verbs.h"

typedef struct MetricsOptions {
        MetricsFormat format;
        bool is_server;
        MetricsNames names;
} MetricsOptions;

static const char metrics_help[] =
        "fdpassctl metrics [OPTIONS...]\n\n"
        "Print all counters of the broker.\n\n"
        "     --format=FORM    openmetrics, or prometheus (the older text form)\n"
        "     --serve          Serve them over HTTP on the socket from systemd\n"
        "     --host=NAME      Answer requests for this name, too\n"
        "  -h --help           Show this help\n";

static int metrics_add_host(void *userdata, const char *value) {
        MetricsNames *names = &((MetricsOptions *) userdata)->names;

        if (names->n == ELEMENTSOF(names->names)) {
                fprintf(stderr, "--host=%s: there are more than %zu names.\n", value, names->n);
                return -EINVAL;
        }
        names->names[names->n++] = value;
        return 1;
}

static int metrics_set_format(void *userdata, const char *value) {
        MetricsOptions *o = userdata;

        if (!streq(value, "openmetrics") && !streq(value, "prometheus")) {
                fprintf(stderr, "--format=%s: must be openmetrics or prometheus.\n", value);
                return -EINVAL;
        }
        o->format = streq(value, "prometheus") ? METRICS_PROMETHEUS : METRICS_OPENMETRICS;
        return 1;
}

int verb_metrics(int argc, char *argv[]) {
        _cleanup_(certificates_done) Certificates certificates = {};
        _cleanup_(snapshot_done) Snapshot s = {};
        _cleanup_bus_ sd_bus *bus = NULL;
        MetricsOptions o = {};
        const VerbOption options[] = {
                { "format", .take = metrics_set_format },
                { "serve", .flag = &o.is_server },
                { "host", .take = metrics_add_host },
                {},
        };
        int i;

        i = parse_options(argc, argv, metrics_help, options, &o);
        if (i <= 0)
                return i;
        if (o.is_server)
                return metrics_http_serve(&o.names);

        i = running_open(&bus);
        if (i != 0)
                return i;
        if (snapshot_take(bus, &s) < 0 || certificates_read(&certificates, CERTIFICATES_DIRECTORY) < 0)
                return EXIT_FAILURE;

        openmetrics_write(stdout, &s, &certificates, o.format);
        return EXIT_SUCCESS;
}
