/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Macros for the whole tree.
 *
 * Ownership is visible: a variable that owns something has _cleanup_…_, and TAKE_PTR() or TAKE_FD() gives its value
 * away. A variable without a descriptor holds -EBADF, so that a wrong use fails with EBADF and does not hit descriptor
 * 0.
 */

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _printf_(a, b) __attribute__((format(printf, a, b)))
#define _unused_ __attribute__((unused))
#define _public_ __attribute__((visibility("default")))

#define ELEMENTSOF(x) (sizeof(x) / sizeof((x)[0]))

#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

/* Evaluate each argument once. __COUNTER__ gives nested uses different names. */
#define MIN(a, b) _pick_((a), <, (b), __COUNTER__)
#define MAX(a, b) _pick_((a), >, (b), __COUNTER__)
#define _pick_(a, op, b, id) _pick__(a, op, b, id)
#define _pick__(a, op, b, id)                                       \
        __extension__({                                             \
                const __typeof__(a) _a##id = (a);                   \
                const __typeof__(b) _b##id = (b);                   \
                _a##id op _b##id ? _a##id : _b##id;                 \
        })

/* Returns the pointer and sets the variable to NULL. */
#define TAKE_PTR(ptr)                           \
        __extension__({                         \
                __typeof__(ptr) *_take = &(ptr);\
                __typeof__(ptr) _taken = *_take;\
                *_take = NULL;                  \
                _taken;                         \
        })

/* Returns the descriptor and sets the variable to -EBADF. */
#define TAKE_FD(fd)                      \
        __extension__({                  \
                int *_take = &(fd);      \
                int _taken = *_take;     \
                *_take = -EBADF;         \
                _taken;                  \
        })

static inline void freep(void *p) {
        free(*(void **) p);
}

#define _cleanup_free_ _cleanup_(freep)

/* Defines destructor##p() for _cleanup_(). @destructor takes a @type, which is a pointer. */
#define DEFINE_CLEANUP(type, destructor)                          \
        static inline void destructor##p(type *p) {               \
                if (*p)                                           \
                        destructor(*p);                           \
        }                                                         \
        struct destructor##_wants_a_semicolon

static inline bool streq(const char *a, const char *b) {
        return strcmp(a, b) == 0;
}

/* Returns what follows the prefix; NULL: @s does not begin with it. */
static inline const char *startswith(const char *s, const char *prefix) {
        size_t l = strlen(prefix);

        return strncmp(s, prefix, l) == 0 ? s + l : NULL;
}

/* Returns where the suffix begins; NULL: @s does not end with it. */
static inline const char *endswith(const char *s, const char *suffix) {
        size_t l = strlen(s), k = strlen(suffix);

        return l >= k && streq(s + l - k, suffix) ? s + l - k : NULL;
}
