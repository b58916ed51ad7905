/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/openmetrics-write.h"

#include <inttypes.h>

#include "basic/utf8.h"

void openmetrics_begin(const OpenMetrics *w, const char *name, const char *type, const char *unit,
                              const char *help) {
        bool is_old_counter = w->format == METRICS_PROMETHEUS && streq(type, "counter");
        const char *suffix = is_old_counter ? "_total" : "";

        fprintf(w->f, "# HELP %s%s %s\n", name, suffix, help);
        fprintf(w->f, "# TYPE %s%s %s\n", name, suffix, type);
        if (unit && w->format == METRICS_OPENMETRICS)
                fprintf(w->f, "# UNIT %s %s\n", name, unit);
}

/*
 * Escapes @s (OpenMetrics, "Escaping"). A byte that acts on a terminal becomes \\xNN, because curl prints it as it is.
 */
static void openmetrics_label_value(const OpenMetrics *w, const char *s) {
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

/* @pairs: names and values alternate, NULL at the end. */
static void openmetrics_labels(const OpenMetrics *w, const char *const *pairs) {
        const char *separator = "{";

        for (; pairs && pairs[0]; pairs += 2, separator = ",") {
                fprintf(w->f, "%s%s=\"", separator, pairs[0]);
                openmetrics_label_value(w, pairs[1]);
                fputc('"', w->f);
        }
        if (*separator == ',')
                fputc('}', w->f);
}

void openmetrics_sample(const OpenMetrics *w, const char *name, const char *const *pairs, uint64_t n) {
        fputs(name, w->f);
        openmetrics_labels(w, pairs);
        fprintf(w->f, " %" PRIu64 "\n", n);
}

void openmetrics_sample_seconds(const OpenMetrics *w, const char *name, const char *const *pairs, usec_t span) {
        fputs(name, w->f);
        openmetrics_labels(w, pairs);
        fprintf(w->f, " %" PRIu64 ".%06" PRIu64 "\n", span / USEC_PER_SEC, span % USEC_PER_SEC);
}

void openmetrics_simple(const OpenMetrics *w, const char *name, const char *type, const char *help, uint64_t n) {
        bool is_counter = streq(type, "counter");
        char sample_name[64];

        (void) snprintf(sample_name, sizeof(sample_name), "%s%s", name, is_counter ? "_total" : "");
        openmetrics_begin(w, name, type, NULL, help);
        openmetrics_sample(w, sample_name, NULL, n);
}

void openmetrics_write_rows(const OpenMetrics *w, const Value *rows, const char *name, const char *label,
                                   const char *key, const char *entry) {
        for (size_t i = 0; i < rows->n_items; i++)
                openmetrics_sample(w, name, OPENMETRICS_LABELS(label, value_string(&rows->items[i], key)),
                                   value_number(&rows->items[i], entry));
}

void openmetrics_write_histogram(const OpenMetrics *w, const Value *row, const OpenMetricsHistogram *h) {
        const char *unit = value_string(row, "Unit"), *worker = value_string(row, "Worker");
        const Value *times = value_get(row, h->entry);
        uint64_t sum = 0;
        char name[64], bound[32];

        (void) snprintf(name, sizeof(name), "%s_bucket", h->name);
        for (size_t i = 0; i < times->n_items; i++) {
                usec_t span = h->first << i;

                sum += times->items[i].u;
                if (i % 2 != 0 || i + 1 >= times->n_items)
                        continue;

                (void) snprintf(bound, sizeof(bound), "%" PRIu64 ".%06" PRIu64, span / USEC_PER_SEC,
                                span % USEC_PER_SEC);
                openmetrics_sample(w, name, OPENMETRICS_LABELS("route", unit, "worker", worker, "le", bound), sum);
        }

        openmetrics_sample(w, name, OPENMETRICS_LABELS("route", unit, "worker", worker, "le", "+Inf"), sum);
        (void) snprintf(name, sizeof(name), "%s_count", h->name);
        openmetrics_sample(w, name, OPENMETRICS_LABELS("route", unit, "worker", worker), sum);
        (void) snprintf(name, sizeof(name), "%s_sum", h->name);
        openmetrics_sample_seconds(w, name, OPENMETRICS_LABELS("route", unit, "worker", worker),
                                   value_number(row, h->sum_entry));
}
