/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "fdpassctl/bus.h"
#include "fdpassctl/serve-host.h"

/*
 * The two text forms that Prometheus reads: OpenMetrics 1.0, and the older one of its own (0.0.4). They differ in the
 * name that a counter's type and help stand under, and in the last line.
 */
typedef enum MetricsFormat {
        METRICS_OPENMETRICS,
        METRICS_PROMETHEUS,
} MetricsFormat;

void metrics_write(FILE *f, const Snapshot *s, MetricsFormat format);

/* Serves them over HTTP on the listening socket that systemd has passed in. Returns the exit status. */
int metrics_serve(const ServeNames *names);
