/* SPDX-License-Identifier: MIT-0 */
#pragma once

/* Options whose value is one of a few words. Needs nothing but libc, because the preload has it too. */

#include <errno.h>
#include <stddef.h>
#include <string.h>

/* Returns the index of @value among the @n @names, or -EINVAL. */
static inline int choice_find(const char *const *names, size_t n, const char *value) {
        for (size_t i = 0; i < n; i++)
                if (strcmp(value, names[i]) == 0)
                        return (int) i;

        return -EINVAL;
}

/* --confine= of fdpass-exec(8) and FDPASS_CONFINE= of fdpass-preload(8): see basic/confine.h. */
typedef enum ConfineMode {
        CONFINE_MODE_AUTO, /* confine if confine_is_due() */
        CONFINE_MODE_YES,
        CONFINE_MODE_NO,
        _CONFINE_MODE_MAX,
} ConfineMode;

#define CONFINE_MODE_NAMES { "auto", "yes", "no" }
