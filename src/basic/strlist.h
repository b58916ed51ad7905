/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A list that owns its strings. {} is an empty list. */

#include "basic/macro.h"

typedef struct StringList {
        char **items; /* the strings, and a NULL behind them; NULL: the list has never had any */
        size_t n_items;
} StringList;

/* Frees the strings and leaves an empty list. */
void strlist_clear(StringList *l);

#define _cleanup_strlist_ _cleanup_(strlist_clear)

/* Appends a copy of the first @n bytes of @s. Returns 0 or -ENOMEM. */
int strlist_add_n(StringList *l, const char *s, size_t n);

static inline int strlist_add(StringList *l, const char *s) {
        return strlist_add_n(l, s, strlen(s));
}

bool strlist_has(const StringList *l, const char *s);

/* Frees the string at this index. The last one takes its place. */
void strlist_remove(StringList *l, size_t i);

/* Sorts the strings by strcmp(3) and removes duplicates. */
void strlist_sort_unique(StringList *l);
