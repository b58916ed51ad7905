/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Samples in the text forms of OpenMetrics 1.0 and of Prometheus, for the files that know the counters. */

#include <stdio.h>

#include "basic/time.h"
#include "fdpassctl/bus.h"

/*
 * The two text forms that Prometheus reads: OpenMetrics 1.0, and its own older form 0.0.4. They differ in the name of a
 * counter in the lines HELP and TYPE, and in the last line.
 */
typedef enum MetricsFormat {
        METRICS_OPENMETRICS,
        METRICS_PROMETHEUS,
} MetricsFormat;

typedef struct OpenMetrics {
        FILE *f;
        MetricsFormat format;
} OpenMetrics;

/* Labels of a sample: names and values alternate. */
#define OPENMETRICS_LABELS(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* Begins a metric family. All of its samples must follow at once. @unit may be NULL. */
void openmetrics_begin(const OpenMetrics *w, const char *name, const char *type, const char *unit, const char *help);

/* Prints a sample. @pairs is OPENMETRICS_LABELS(), or NULL. */
void openmetrics_sample(const OpenMetrics *w, const char *name, const char *const *pairs, uint64_t n);

/* Prints a time in µs as seconds. */
void openmetrics_sample_seconds(const OpenMetrics *w, const char *name, const char *const *pairs, usec_t span);

/* Prints a family with one sample and no label. */
void openmetrics_simple(const OpenMetrics *w, const char *name, const char *type, const char *help, uint64_t n);

/* Prints the entry of each row, whose label @label is the entry @key. */
void openmetrics_write_rows(const OpenMetrics *w, const Value *rows, const char *name, const char *label,
                            const char *key, const char *entry);

/* A histogram of a route. Bucket i of @entry has spans up to @first << i, in µs. */
typedef struct OpenMetricsHistogram {
        const char *name;
        const char *entry;     /* counts of the buckets */
        const char *sum_entry; /* sum of the spans, in µs */
        usec_t first;
} OpenMetricsHistogram;

/* Prints every other bucket. Factors of four are precise enough, and halve what the scraper stores. */
void openmetrics_write_histogram(const OpenMetrics *w, const Value *row, const OpenMetricsHistogram *h);
