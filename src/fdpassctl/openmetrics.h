/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "fdpassctl/certificates.h"
#include "fdpassctl/openmetrics-write.h"

/* Writes all counters in the snapshot, and what is known of certificates. */
void openmetrics_write(FILE *f, const Snapshot *s, const Certificates *c, MetricsFormat format);
