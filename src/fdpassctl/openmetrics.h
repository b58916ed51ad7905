/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "fdpassctl/openmetrics-write.h"

/* Writes all counters in the snapshot. */
void openmetrics_write(FILE *f, const Snapshot *s, MetricsFormat format);
