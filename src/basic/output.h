/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Makes standard output and standard error safe for terminals. The streams write these as \xNN: control characters
 * except \n and \t, bytes that are not UTF-8, and characters that change the direction of writing.
 *
 * The streams do this for the whole program, because texts come from units, names of files, arguments, other processes
 * and libraries.
 */

#include <stdio.h>

#include "basic/macro.h"

/* Replaces stdout and stderr. Call it before the first output. Returns 0 or a negative errno. */
int output_guard(void);

/* Lets @n sequences pass from now on, for instance colours. The array is borrowed for the life of the program. */
void output_pass(const char *const *sequences, size_t n);

/* Writes @byte as \xNN to @to, without a NUL. Returns the end. */
char *output_escape(char *to, uint8_t byte);

/* Writes @s to @f as a part of a line: \n and \t are written as \xNN too. */
void output_text(FILE *f, const char *s);
