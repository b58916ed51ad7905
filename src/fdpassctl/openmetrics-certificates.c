/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/openmetrics-certificates.h"

/* Problems are sorted by the units, because each report is read as a whole. */
static void openmetrics_write_certificate_problems(const OpenMetrics *w, const Certificates *c) {
        openmetrics_begin(w, "fdpass_certificate_problems", "gauge", NULL,
                          "Files of a TLS stage's certificates that can't be used. There is no sample without any.");

        for (size_t i = 0, n; i < c->n_problems; i += n) {
                for (n = 1; i + n < c->n_problems && streq(c->problems[i].unit, c->problems[i + n].unit); n++)
                        ;
                openmetrics_sample(w, "fdpass_certificate_problems", OPENMETRICS_LABELS("unit", c->problems[i].unit), n);
        }
}

void openmetrics_write_certificates(const OpenMetrics *w, const Certificates *c) {
        static const char name[] = "fdpass_certificate_expiry_timestamp_seconds";

        if (c->n_items + c->n_problems == 0)
                return;

        openmetrics_begin(w, name, "gauge", "seconds",
                          "When a certificate of a TLS stage expires (notAfter), in seconds since 1970.");
        for (size_t i = 0; i < c->n_items; i++)
                if (c->items[i].ends != USEC_INFINITY)
                        openmetrics_sample(w, name,
                                           OPENMETRICS_LABELS("unit", c->items[i].unit, "certificate", c->items[i].name),
                                           c->items[i].ends / USEC_PER_SEC);

        openmetrics_write_certificate_problems(w, c);
}
