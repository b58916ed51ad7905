/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Standard output and standard error as streams that let nothing pass that acts on a terminal. Control characters but \n and
 * \t, bytes that are no UTF-8, and characters that turn the direction of writing are written as \xNN. One place does it for
 * all, because texts come from units, names of files, arguments, other processes and libraries alike.
 */

#include <stdio.h>

#include "basic/macro.h"

/* Replaces stdout and stderr. Returns 0, or a negative errno. */
int output_guard(void);

/* These @n sequences pass from now on. The array has to stay. */
void output_pass(const char *const *sequences, size_t n);

/* Writes @s to @f as a part of one line: \n and \t, too, are written as \xNN. */
void output_text(FILE *f, const char *s);
