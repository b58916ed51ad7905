/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Texts for people: what is printed comes from units, workers and clients, so it is escaped first, and then measured in
 * the columns that a terminal uses for it.
 */

#include <stdio.h>

#include "basic/macro.h"

/*
 * Returns a copy of @s that can't act on a terminal, for the caller to free, or NULL without memory. Control
 * characters, bytes that are not UTF-8, characters that change the direction of writing, and backslashes become \xNN.
 */
char *text_escape(const char *s);

/* Returns the number of columns of an escaped text: 2 for a wide character, 0 for a combining one (wcwidth(3)). */
size_t text_width(const char *s);

/*
 * Returns how many bytes at the beginning of an escaped text fit into @columns, and in @ret_used the columns of these.
 */
size_t text_fit(const char *s, size_t columns, size_t *ret_used);

/* Returns the longest end of an escaped text that fits into @columns. */
const char *text_fit_end(const char *s, size_t columns);

/* Prints an escaped text in at most @max columns (0: any number). A text that is too long ends in "…". */
void text_print_cut(FILE *f, const char *s, size_t max);

/* Escapes @s and prints it. */
void text_print(FILE *f, const char *s);

/* Escapes each line of @s and prints it. */
void text_print_lines(FILE *f, const char *s);

/* Writes a number of bytes to @ret ("512B", "1.5K", "23.4M") and returns @ret. K is 1024 bytes. */
const char *text_from_bytes(char ret[static 32], uint64_t n);

/* Writes a time span to @ret ("12ms", "3.4s", "5min 2s", "2h 5min", "3d 4h") and returns @ret. */
const char *text_from_span(char ret[static 32], uint64_t usec);
