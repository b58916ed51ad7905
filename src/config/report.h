/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reporting of findings about units. */

#include "basic/error.h"
#include "config/config-types.h"

typedef struct Reporter {
        ConfigReport report; /* handler; NULL: findings are only counted */
        void *userdata;
        unsigned n_errors;   /* number of CONFIG_ERRORs so far */
} Reporter;

/* Reports a finding. @unit, @path and @line are as in ConfigReport. The message has one sentence, at most 511 bytes. */
void reporter_say(Reporter *r, ConfigSeverity severity, const char *unit, const char *path, unsigned line,
                  const char *format, ...) _printf_(6, 7);

/* True for an error that ends reading as a whole, instead of affecting one file. */
static inline bool errno_is_fatal(int r) {
        return errno_is_resource(r) || r == -EIO;
}
