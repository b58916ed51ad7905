/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/strlist.h"

void strlist_clear(StringList *l) {
        for (size_t i = 0; i < l->n_items; i++)
                free(l->items[i]);

        free(l->items);
        *l = (StringList){};
}

int strlist_add_n(StringList *l, const char *s, size_t n) {
        _cleanup_free_ char *copy = strndup(s, n);

        if (!copy)
                return -ENOMEM;

        /* The capacity is at least twice the last power of two and one for the NULL, so it need not be stored. */
        if ((l->n_items & (l->n_items - 1)) == 0) {
                char **items = reallocarray(l->items, 2 * l->n_items + 2, sizeof(*items));

                if (!items)
                        return -ENOMEM;
                l->items = items;
        }

        l->items[l->n_items++] = TAKE_PTR(copy);
        l->items[l->n_items] = NULL;
        return 0;
}

void strlist_remove(StringList *l, size_t i) {
        free(l->items[i]);
        l->items[i] = l->items[--l->n_items];
        l->items[l->n_items] = NULL;
}

bool strlist_has(const StringList *l, const char *s) {
        for (size_t i = 0; i < l->n_items; i++)
                if (streq(l->items[i], s))
                        return true;

        return false;
}

static int strlist_compare(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

void strlist_sort_unique(StringList *l) {
        size_t n = 0;

        if (l->n_items == 0)
                return;

        qsort(l->items, l->n_items, sizeof(*l->items), strlist_compare);

        for (size_t i = 0; i < l->n_items; i++)
                if (n > 0 && streq(l->items[n - 1], l->items[i]))
                        free(l->items[i]);
                else
                        l->items[n++] = l->items[i];

        l->n_items = n;
        l->items[n] = NULL;
}
