/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The stamp of a unit (Unit.stamp) as text, because JSON's numbers have 53 bits (RFC 8259 6). */

#include <inttypes.h>
#include <stdio.h>

#define STAMP_TEXT_MAX 17

/* Writes 16 digits to @ret and returns @ret. */
static inline const char *stamp_to_string(uint64_t stamp, char ret[static STAMP_TEXT_MAX]) {
        (void) snprintf(ret, STAMP_TEXT_MAX, "%016" PRIx64, stamp);
        return ret;
}
