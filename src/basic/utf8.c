/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/utf8.h"

static bool utf8_is_continuation(uint8_t c) {
        return (c & 0xc0) == 0x80;
}

/* Returns the length of a character whose first byte is @c; 0: no character begins with it. */
static size_t utf8_length_by_lead(uint8_t c) {
        if (c < 0x80)
                return 1;
        if (c < 0xc2) /* a continuation, or the overlong form of an ASCII character */
                return 0;
        if (c < 0xe0)
                return 2;
        if (c < 0xf0)
                return 3;
        return c < 0xf5 ? 4 : 0;
}

static bool utf8_is_character(uint32_t c, size_t length) {
        static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };

        return c >= least[length] && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff) && (c < 0xfdd0 || c > 0xfdef) &&
               (c & 0xfffe) != 0xfffe;
}

size_t utf8_character(const char *s, uint32_t *ret) {
        const uint8_t *p = (const uint8_t *) s;
        size_t length = utf8_length_by_lead(*p);
        uint32_t c = length > 1 ? *p & (0x7fU >> length) : *p;

        /* The NUL at the end is no continuation, so the loop ends there. */
        for (size_t i = 1; i < length; i++) {
                if (!utf8_is_continuation(p[i]))
                        return 0;
                c = c << 6 | (p[i] & 0x3fU);
        }

        *ret = c;
        return length <= 1 || utf8_is_character(c, length) ? length : 0;
}

bool utf8_is_shown(uint32_t c) {
        return c >= ' ' && (c < 0x7f || c >= 0xa0) && c != 0x61c && (c < 0x200e || c > 0x200f) &&
               (c < 0x2028 || c > 0x202e) && (c < 0x2066 || c > 0x2069);
}

bool utf8_is_valid(const char *s) {
        uint32_t c;

        while (*s) {
                size_t length = utf8_character(s, &c);

                if (length == 0)
                        return false;
                s += length;
        }

        return true;
}

void utf8_mask(char *s) {
        while (*s) {
                size_t n = utf8_printable(s);

                if (n == 0)
                        *s = '?';
                s += MAX(n, (size_t) 1);
        }
}

size_t utf8_cut(const char *s, size_t max) {
        size_t n = strnlen(s, max + 1);

        if (n <= max)
                return n;

        for (n = max; n > 0 && utf8_is_continuation((uint8_t) s[n]); n--)
                ;
        return n;
}
