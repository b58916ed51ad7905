/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/*
 * True where @s is UTF-8 (RFC 3629: no overlong form, no surrogate, nothing above U+10FFFF) and has no
 * non-character (U+FDD0..U+FDEF, U+xxFFFE, U+xxFFFF), which systemd refuses in unit files too.
 */
bool utf8_is_valid(const char *s);

/* How many of the first @max bytes of @s can be shown without cutting a character in two. */
size_t utf8_cut(const char *s, size_t max);

/* The length of the UTF-8 character at @s, and its number in @ret; 0 where there is none, as utf8_is_valid() has it. */
size_t utf8_character(const char *s, uint32_t *ret);

/* Returns false for a character that acts instead of being seen: C0, DEL, C1, and what turns the direction of writing. */
bool utf8_is_shown(uint32_t c);

/* The length of the character at @s that can be shown as it is, or 0: its first byte has to be shown in another way. */
static inline size_t utf8_printable(const char *s) {
        uint32_t c;
        size_t n = utf8_character(s, &c);

        return n > 0 && utf8_is_shown(c) ? n : 0;
}

/* Replaces each byte of @s that is not part of such a character by '?'. */
void utf8_mask(char *s);
