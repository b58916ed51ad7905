/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Checks for text that is shown to people or passed on as UTF-8. All strings end with a NUL. */

#include "basic/macro.h"

/*
 * Returns whether @s is UTF-8 (RFC 3629: no overlong form, no surrogate, nothing above U+10FFFF) without non-characters
 * (U+FDD0..U+FDEF, U+xxFFFE, U+xxFFFF). systemd refuses these in unit files too.
 */
bool utf8_is_valid(const char *s);

/* Returns how many of the first @max bytes of @s can be shown without cutting a character in two. */
size_t utf8_cut(const char *s, size_t max);

/*
 * Returns the length of the character at @s in bytes, and its code point in @ret. Returns 0 if utf8_is_valid() accepts
 * no character there.
 */
size_t utf8_character(const char *s, uint32_t *ret);

/* Returns false for control characters (C0, DEL, C1) and for those that change the direction of writing. */
bool utf8_is_shown(uint32_t c);

/* Returns the length of the character at @s if it can be shown as it is; 0: its first byte has to be replaced. */
static inline size_t utf8_printable(const char *s) {
        uint32_t c;
        size_t n = utf8_character(s, &c);

        return n > 0 && utf8_is_shown(c) ? n : 0;
}

/* Replaces each byte of @s that utf8_printable() does not accept by '?'. */
void utf8_mask(char *s);
