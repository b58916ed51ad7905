/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Specifiers in the values of units (systemd.unit(5), "Specifiers"): those that a route can use. */

#include "config/unit-name.h"

/* The sources of the values. Both are borrowed. */
typedef struct SpecifierContext {
        const UnitName *unit;
        const char *hostname;
} SpecifierContext;

/* Conditions of specifier_expand() */
enum {
        SPECIFIER_UNKNOWN = 1, /* there is no such specifier */
        SPECIFIER_MALFORMED,   /* the part of the unit's name for it can't be unescaped */
        SPECIFIER_TOO_LONG,    /* the result does not fit */
};

/*
 * Writes @s with its specifiers expanded to @ret, a buffer of @size bytes, NUL included. Returns 0 or a condition
 * above. After a condition *ret_bad points to the '%' in @s that caused it; after SPECIFIER_TOO_LONG, to the text that
 * did not fit.
 */
int specifier_expand(const char *s, const SpecifierContext *c, char *ret, size_t size, const char **ret_bad);
