/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How much two words differ, for hints such as "did you mean Host=?". */

/*
 * Returns the "optimal string alignment" distance without regard to case: the number of letters to insert, delete,
 * replace or swap with the next one. UINT_MAX: a word is longer than 31 bytes, which no key or section is.
 */
unsigned spelling_distance(const char *a, const char *b);
