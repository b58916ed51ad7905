/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The small vocabulary of the whole tree: who owns what, and who is contained in whom.
 *
 * Ownership is visible where it moves: a variable that owns something carries _cleanup_…_, and
 * TAKE_PTR()/TAKE_FD() at the spot where the ownership leaves. File descriptors that hold nothing are
 * -EBADF, so that a stray use says EBADF and never hits somebody's file 0.
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

/* Both evaluate each argument once. The counter makes the names differ where one stands inside another. */
#define MIN(a, b) _pick_((a), <, (b), __COUNTER__)
#define MAX(a, b) _pick_((a), >, (b), __COUNTER__)
#define _pick_(a, op, b, id) _pick__(a, op, b, id)
#define _pick__(a, op, b, id)                                       \
        __extension__({                                             \
                const __typeof__(a) _a##id = (a);                   \
                const __typeof__(b) _b##id = (b);                   \
                _a##id op _b##id ? _a##id : _b##id;                 \
        })

/* The pointer's value, while the variable it stood in gives it up. */
#define TAKE_PTR(ptr)                           \
        __extension__({                         \
                __typeof__(ptr) *_take = &(ptr);\
                __typeof__(ptr) _taken = *_take;\
                *_take = NULL;                  \
                _taken;                         \
        })

/* The same for a file descriptor. */
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

/* Defines name##p(), which _cleanup_() can call, for a destructor that takes a pointer. */
#define DEFINE_CLEANUP(type, destructor)                          \
        static inline void destructor##p(type *p) {               \
                if (*p)                                           \
                        destructor(*p);                           \
        }                                                         \
        struct destructor##_wants_a_semicolon

static inline bool streq(const char *a, const char *b) {
        return strcmp(a, b) == 0;
}

/* What follows the prefix, or NULL where the string does not begin with it. */
static inline const char *startswith(const char *s, const char *prefix) {
        size_t l = strlen(prefix);

        return strncmp(s, prefix, l) == 0 ? s + l : NULL;
}

/* Where the suffix begins, or NULL where the string does not end in it. */
static inline const char *endswith(const char *s, const char *suffix) {
        size_t l = strlen(s), k = strlen(suffix);

        return l >= k && streq(s + l - k, suffix) ? s + l - k : NULL;
}
