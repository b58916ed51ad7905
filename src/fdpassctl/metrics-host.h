/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The names of the metrics server. */

#include "probe/name.h"

#define METRICS_NAMES_MAX 16

/* The names that --host= adds. */
typedef struct MetricsNames {
        const char *names[METRICS_NAMES_MAX];
        size_t n;
} MetricsNames;

/*
 * Returns whether a request for @host (n = 0: none) is meant for this server. Otherwise a web page could read the
 * metrics through a browser on this host, because its own name may resolve to this host's address (DNS rebinding). A
 * page can't have an IP address, "localhost" or this host's name as its own name.
 */
bool metrics_host_is_ours(const ProbeName *host, const MetricsNames *names);
