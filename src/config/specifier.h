/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The %-specifiers in the values of units (systemd.unit(5), "Specifiers"), as far as a route can need them. */

#include "config/unit-name.h"

/* Where the values come from. Both are borrowed. */
typedef struct SpecifierContext {
        const UnitName *unit;
        const char *hostname;
} SpecifierContext;

/* specifier_expand() */
enum {
        SPECIFIER_UNKNOWN = 1, /* there is no such specifier */
        SPECIFIER_MALFORMED,   /* the unit's name can't be unescaped for it */
        SPECIFIER_TOO_LONG,    /* the result does not fit */
};

/*
 * Writes @s with its specifiers expanded to @ret, which has room for @size bytes, the NUL included. Returns 0
 * or a condition above; *ret_bad then points to the '%' in @s that it is about, or to the end of what fitted.
 */
int specifier_expand(const char *s, const SpecifierContext *c, char *ret, size_t size, const char **ret_bad);
