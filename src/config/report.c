/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config/report.h"

#include <stdarg.h>
#include <stdio.h>

void reporter_say(Reporter *r, ConfigSeverity severity, const char *unit, const char *path, unsigned line,
                  const char *format, ...) {
        char message[512];
        va_list ap;

        if (severity == CONFIG_ERROR)
                r->n_errors++;

        if (!r->report)
                return;

        va_start(ap, format);
        (void) vsnprintf(message, sizeof(message), format, ap);
        va_end(ap);

        r->report(r->userdata, severity, unit, path, line, message);
}
