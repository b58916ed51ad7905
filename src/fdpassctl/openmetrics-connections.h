/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "fdpassctl/openmetrics-write.h"

/* Prints live connections, and those that have ended. Prints nothing if the broker tracks none. */
void openmetrics_write_connections(const OpenMetrics *w, const Snapshot *s);
