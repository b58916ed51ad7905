/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "fdpassctl/certificates.h"
#include "fdpassctl/openmetrics-write.h"

/* Prints when certificates expire, and how many can't be used. Prints nothing if no TLS stage runs. */
void openmetrics_write_certificates(const OpenMetrics *w, const Certificates *c);
