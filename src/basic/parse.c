/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/parse.h"

#include <limits.h>
#include <strings.h>

#include "basic/macro.h"

#define WHITESPACE " \t"

static bool parse_is_digit(char c) {
        return c >= '0' && c <= '9';
}

int parse_bool(const char *s, bool *ret) {
        static const char *const words[][2] = {
                { "0", "1" }, { "no", "yes" }, { "n", "y" }, { "false", "true" }, { "f", "t" }, { "off", "on" },
        };

        for (size_t i = 0; i < 2 * ELEMENTSOF(words); i++)
                if (strcasecmp(s, words[i / 2][i % 2]) == 0) {
                        *ret = i % 2 == 1;
                        return 0;
                }

        return -EINVAL;
}

/* Parses the digits at *s and moves *s behind them. */
static int parse_digits(const char **s, uint64_t *ret) {
        const char *p = *s;
        uint64_t v = 0;

        if (!parse_is_digit(*p))
                return -EINVAL;

        for (; parse_is_digit(*p); p++)
                if (__builtin_mul_overflow(v, (uint64_t) 10, &v) ||
                    __builtin_add_overflow(v, (uint64_t) (*p - '0'), &v))
                        return -ERANGE;

        *s = p;
        *ret = v;
        return 0;
}

/* Parses all of @s as a number up to @max. */
static int parse_whole(const char *s, uint64_t max, uint64_t *ret) {
        int r = parse_digits(&s, ret);

        if (r < 0)
                return r;
        if (*s)
                return -EINVAL;

        return *ret > max ? -ERANGE : 0;
}

int parse_unsigned(const char *s, unsigned *ret) {
        uint64_t v;
        int r = parse_whole(s, UINT_MAX, &v);

        if (r >= 0)
                *ret = (unsigned) v;
        return r;
}

int parse_int(const char *s, int *ret) {
        bool negative = *s == '-';
        uint64_t v;
        int r = parse_whole(s + negative, (uint64_t) INT_MAX + negative, &v);

        if (r >= 0)
                *ret = (int) (negative ? -(int64_t) v : (int64_t) v);
        return r;
}

typedef struct ParseUnit {
        const char *name;
        uint64_t factor;
} ParseUnit;

/*
 * Parses "NUMBER[.FRACTION]UNIT" at *s and moves *s behind it. If the name of a unit is the beginning of another name,
 * it comes after that one in @units. The name "" comes last and stands for no unit.
 */
static int parse_quantity(const char **s, const ParseUnit *units, size_t n_units, uint64_t *ret) {
        uint64_t whole, fraction = 0, scale = 1, value;
        const char *p = *s;
        int r;

        r = parse_digits(&p, &whole);
        if (r < 0)
                return r;

        if (*p == '.') {
                p++;
                if (!parse_is_digit(*p))
                        return -EINVAL;

                /* Nine digits are enough for microseconds. The others are cut off. */
                for (; parse_is_digit(*p); p++)
                        if (scale < 1000000000U) {
                                fraction = fraction * 10 + (uint64_t) (*p - '0');
                                scale *= 10;
                        }
        }

        p += strspn(p, WHITESPACE);

        for (size_t i = 0; i < n_units; i++) {
                const char *rest = startswith(p, units[i].name);

                if (!rest)
                        continue;

                if (__builtin_mul_overflow(whole, units[i].factor, &value) ||
                    __builtin_add_overflow(value,
                                           (uint64_t) ((unsigned __int128) fraction * units[i].factor / scale),
                                           &value))
                        return -ERANGE;

                *s = rest;
                *ret = value;
                return 0;
        }

        return -EINVAL;
}

int parse_timespan(const char *s, usec_t *ret) {
        static const ParseUnit units[] = {
                { "seconds", USEC_PER_SEC },
                { "second", USEC_PER_SEC },
                { "sec", USEC_PER_SEC },
                { "minutes", 60 * USEC_PER_SEC },
                { "minute", 60 * USEC_PER_SEC },
                { "min", 60 * USEC_PER_SEC },
                { "months", 2629800 * USEC_PER_SEC },
                { "month", 2629800 * USEC_PER_SEC },
                { "M", 2629800 * USEC_PER_SEC },
                { "msec", USEC_PER_MSEC },
                { "ms", USEC_PER_MSEC },
                { "m", 60 * USEC_PER_SEC },
                { "hours", 3600 * USEC_PER_SEC },
                { "hour", 3600 * USEC_PER_SEC },
                { "hr", 3600 * USEC_PER_SEC },
                { "h", 3600 * USEC_PER_SEC },
                { "days", 86400 * USEC_PER_SEC },
                { "day", 86400 * USEC_PER_SEC },
                { "d", 86400 * USEC_PER_SEC },
                { "weeks", 7 * 86400 * USEC_PER_SEC },
                { "week", 7 * 86400 * USEC_PER_SEC },
                { "w", 7 * 86400 * USEC_PER_SEC },
                { "years", 31557600 * USEC_PER_SEC },
                { "year", 31557600 * USEC_PER_SEC },
                { "y", 31557600 * USEC_PER_SEC },
                { "usec", 1 },
                { "us", 1 },
                { "µs", 1 },
                { "s", USEC_PER_SEC },
                { "", USEC_PER_SEC },
        };
        usec_t sum = 0;
        int r;

        s += strspn(s, WHITESPACE);

        if (streq(s, "infinity")) {
                *ret = USEC_INFINITY;
                return 0;
        }

        do {
                usec_t part;

                r = parse_quantity(&s, units, ELEMENTSOF(units), &part);
                if (r < 0)
                        return r;
                if (__builtin_add_overflow(sum, part, &sum))
                        return -ERANGE;

                s += strspn(s, WHITESPACE);
        } while (*s);

        *ret = sum;
        return 0;
}

int parse_size(const char *s, uint64_t *ret) {
        static const ParseUnit units[] = {
                { "K", UINT64_C(1) << 10 },
                { "M", UINT64_C(1) << 20 },
                { "G", UINT64_C(1) << 30 },
                { "T", UINT64_C(1) << 40 },
                { "B", 1 },
                { "", 1 },
        };
        uint64_t v;
        int r;

        r = parse_quantity(&s, units, ELEMENTSOF(units), &v);
        if (r < 0)
                return r;
        if (*s)
                return -EINVAL;

        *ret = v;
        return 0;
}
