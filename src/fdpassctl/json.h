/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Values as JSON (RFC 8259). */

#include <stdio.h>

#include "fdpassctl/value.h"

typedef enum JsonMode {
        JSON_OFF,
        JSON_SHORT,
        JSON_PRETTY, /* with line breaks */
} JsonMode;

/* Prints @v, without a line break behind it. @mode is JSON_SHORT or JSON_PRETTY. */
void json_print(FILE *f, const Value *v, JsonMode mode);

/*
 * Prints @s with its quotes. A byte that is not UTF-8 becomes U+FFFD. A character that acts on a terminal is escaped.
 */
void json_print_string(FILE *f, const char *s);
