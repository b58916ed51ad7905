/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Growing arrays, and search in sorted arrays. */

#include "basic/macro.h"

/*
 * Makes room for one more member behind the first @n members of @array, an array from malloc(3) or NULL. Returns false
 * without memory: then the array is unchanged.
 *
 * Only this macro may grow the array. Then its capacity is the lowest power of two that is not below @n, and need not
 * be stored.
 */
#define ARRAY_GROW(array, n)                                                                    \
        __extension__({                                                                         \
                size_t _grow_n = (n);                                                           \
                __typeof__(array) _grown = (array);                                             \
                                                                                                \
                if ((_grow_n & (_grow_n - 1)) == 0) {                                           \
                        _grown = reallocarray((array), MAX(2 * _grow_n, (size_t) 1), sizeof(*(array))); \
                        if (_grown)                                                             \
                                (array) = _grown;                                               \
                }                                                                               \
                _grown != NULL;                                                                 \
        })

/*
 * Searches the sorted array @array of @n members of @size bytes, as bsearch(3). Returns the index of the first member
 * that is not less than @key. That is the member itself, or the place for it if there is none. If all members are less,
 * it is @n.
 */
static inline size_t array_find_place(const void *key, const void *array, size_t n, size_t size,
                                      int (*compare)(const void *key, const void *member)) {
        size_t low = 0, high = n;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (compare(key, (const char *) array + middle * size) > 0)
                        low = middle + 1;
                else
                        high = middle;
        }

        return low;
}
