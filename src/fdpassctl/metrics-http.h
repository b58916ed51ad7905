/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "fdpassctl/metrics-host.h"

/*
 * Serves the metrics on the listening socket that systemd passed in, to requests for @names and for this host's own
 * names. Returns as a verb (verbs.h).
 */
int metrics_http_serve(const MetricsNames *names);
