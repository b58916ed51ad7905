/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Arrays that grow by one member at a time, and sorted ones. */

#include "basic/macro.h"

/*
 * Makes room for one more member behind the first @n of the heap array @array (NULL: an empty one). False
 * where memory is out; the array is then as before.
 *
 * An array that only this macro ever grew has a capacity of the power of two at or above @n, so the capacity
 * is stored nowhere.
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
 * As bsearch(3), but where there is no such member, the place is told where it would have to be: the index of the first
 * member that is not less than @key.
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
