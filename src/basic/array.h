/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Arrays that grow by one member at a time. */

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
