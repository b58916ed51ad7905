/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/metrics-http.h"

#include <stdio.h>

#include "fdpassctl/openmetrics.h"
#include "fdpassctl/serve.h"

/* Returns the metrics as they are now, for the caller to free, or NULL after a message. */
static char *metrics_http_collect(MetricsFormat format, size_t *ret_n) {
        _cleanup_(certificates_done) Certificates certificates = {};
        _cleanup_(snapshot_done) Snapshot s = {};
        _cleanup_bus_ sd_bus *bus = NULL;
        char *text = NULL;
        FILE *f;

        if (bus_open(&bus) < 0 || snapshot_take(bus, &s) < 0 ||
            certificates_read(&certificates, CERTIFICATES_DIRECTORY) < 0)
                return NULL;

        f = open_memstream(&text, ret_n);
        if (!f)
                return NULL;

        openmetrics_write(f, &s, &certificates, format);
        if (fclose(f) != 0) {
                free(text);
                return NULL;
        }

        return text;
}

/* Returns the form that the Accept field asks for. */
static MetricsFormat metrics_http_format_wanted(const HttpFacts *http) {
        Slice rest = http->fields, name, value;

        while (http_next_field(&rest, &name, &value))
                if (slice_equal_fold(name, SLICE_LITERAL("accept")) && value.n > 0 &&
                    memmem(value.p, value.n, "application/openmetrics-text", 28))
                        return METRICS_OPENMETRICS;

        return METRICS_PROMETHEUS;
}

static void metrics_http_answer_metrics(ServePeer *peer, const HttpFacts *http) {
        MetricsFormat format = metrics_http_format_wanted(http);
        size_t n;
        _cleanup_free_ char *text = metrics_http_collect(format, &n);

        if (!text)
                serve_reply_status(peer, "503 Service Unavailable");
        else
                serve_reply_http(peer, "200 OK", format == METRICS_OPENMETRICS
                                         ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                         : "text/plain; version=0.0.4; charset=utf-8",
                                 text, n, slice_equal(http->method, SLICE_LITERAL("GET")));
}

static bool metrics_http_answer(void *userdata, ServePeer *peer) {
        HttpFacts http;
        bool needs_more;

        if (!serve_read_http(peer, &http, &needs_more))
                return !needs_more;

        if (!metrics_host_is_ours(&http.host, userdata))
                serve_reply_status(peer, "421 Misdirected Request");
        else if (!slice_equal(http.path, SLICE_LITERAL("/metrics")))
                serve_reply_status(peer, "404 Not Found");
        else
                metrics_http_answer_metrics(peer, &http);

        return true;
}

int metrics_http_serve(const MetricsNames *names) {
        MetricsNames copy = *names;

        return serve(metrics_http_answer, &copy);
}
