/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The names that the exporter answers to. */

#include "probe/name.h"

#define SERVE_NAMES_MAX 16

/* Names that --host= adds. */
typedef struct ServeNames {
        const char *names[SERVE_NAMES_MAX];
        size_t n;
} ServeNames;

/*
 * Returns whether a request for @host, n = 0: none, is meant for this server. Otherwise a web page could read the metrics
 * through a browser on this host, by a name of its own that it lets lead here (DNS rebinding). A page can have no IP
 * address, no "localhost", and no name of this host.
 */
bool serve_host_is_ours(const ProbeName *host, const ServeNames *names);
