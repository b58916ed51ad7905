/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpassctl metrics: prints all counters, or serves them over HTTP. */

#include <stdio.h>

#include "fdpassctl/metrics-http.h"
#include "fdpassctl/openmetrics.h"
#include "fdpassctl/options.h"
#include "fdpassctl/verbs.h"

typedef struct MetricsOptions {
        MetricsFormat format;
        bool is_server;
        MetricsNames names;
} MetricsOptions;

enum { ARG_FORMAT = 0x100, ARG_SERVE, ARG_HOST };

static int metrics_help(void) {
        printf("fdpassctl metrics [OPTIONS...]\n\n"
               "Print all counters of the broker.\n\n"
               "     --format=FORM    openmetrics, or prometheus (the older text form)\n"
               "     --serve          Serve them over HTTP on the socket from systemd\n"
               "     --host=NAME      Answer requests for this name, too\n"
               "  -h --help           Show this help\n");
        return 0;
}

static int metrics_take_option(void *userdata, int option, const char *value) {
        MetricsOptions *o = userdata;

        switch (option) {

        case ARG_SERVE:
                o->is_server = true;
                return 1;
        case ARG_HOST:
                if (o->names.n == ELEMENTSOF(o->names.names)) {
                        fprintf(stderr, "--host=%s: there are more than %zu names.\n", value, o->names.n);
                        return -EINVAL;
                }
                o->names.names[o->names.n++] = value;
                return 1;
        case ARG_FORMAT:
                if (!streq(value, "openmetrics") && !streq(value, "prometheus")) {
                        fprintf(stderr, "--format=%s: must be openmetrics or prometheus.\n", value);
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
        static const VerbOptions own = { .help = metrics_help, .options = options, .take = metrics_take_option };
        _cleanup_(snapshot_done) Snapshot s = {};
        _cleanup_bus_ sd_bus *bus = NULL;
        MetricsOptions o = {};
        int i;

        i = parse_options(argc, argv, &own, &o);
        if (i <= 0)
                return i < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        if (o.is_server)
                return metrics_http_serve(&o.names);

        if (bus_open(&bus) < 0 || snapshot_take(bus, &s) < 0)
                return EXIT_FAILURE;

        openmetrics_write(stdout, &s, o.format);
        return EXIT_SUCCESS;
}
