/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Where findings about units go. */

#include "basic/error.h"
#include "config/config.h"

typedef struct Reporter {
        ConfigReport report; /* NULL: findings are only counted */
        void *userdata;
        unsigned n_errors;
} Reporter;

/* @unit, @path and @line are as in ConfigReport. A message is one sentence, at most 511 bytes. */
void reporter_say(Reporter *r, ConfigSeverity severity, const char *unit, const char *path, unsigned line,
                  const char *format, ...) _printf_(6, 7);

/* Is this an error of reading itself, which ends it, and not one that is a certain file's fault? */
static inline bool errno_is_fatal(int r) {
        return errno_is_resource(r) || r == -EIO;
}
