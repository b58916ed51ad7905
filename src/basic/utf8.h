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
