/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdio.h>

#include "fdpassctl/bus.h"

/*
 * The two text forms that Prometheus reads: OpenMetrics 1.0, and its own older form 0.0.4. They differ in the name of a
 * counter in the lines HELP and TYPE, and in the last line.
 */
typedef enum MetricsFormat {
        METRICS_OPENMETRICS,
        METRICS_PROMETHEUS,
} MetricsFormat;

/* Writes all counters in the snapshot. */
void openmetrics_write(FILE *f, const Snapshot *s, MetricsFormat format);
