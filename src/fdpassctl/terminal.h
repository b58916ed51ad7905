/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The terminal: whether it has colours, how wide it is, the pager, and what may be written to it. */

#include <stdio.h>

#include "basic/macro.h"

typedef enum Color {
        COLOR_NONE,
        COLOR_RED,
        COLOR_GREEN,
        COLOR_YELLOW,
        COLOR_GREY,
        COLOR_BOLD,
        _COLOR_MAX,
} Color;

/* $SYSTEMD_COLORS, then $NO_COLOR, then whether standard output, as it was before any pager, is a terminal. */
bool terminal_has_colors(void);

/* The sequence that begins the colour, or "" where there are none. COLOR_NONE ends any. */
const char *terminal_color(Color color);

/* $COLUMNS, or what the terminal says; 0 where nothing limits a line. */
size_t terminal_columns(void);

/* A terminal's height, or 24. */
size_t terminal_rows(void);

/* From here on standard output goes to $SYSTEMD_PAGER, $PAGER or less, if it is a terminal; --no-pager: it stays. */
void pager_open(void);

/* Waits for the pager's end, if there is one. */
void pager_close(void);

/*
 * A copy of @s that does nothing to a terminal: control characters, bytes that are no UTF-8, and characters that turn
 * the direction of writing are written as \xNN. NULL where memory is out.
 */
char *text_escape(const char *s);

/* How many characters an escaped text has; each counts as one column. */
size_t text_width(const char *s);

/* Where the character with this number begins, or the end. */
const char *text_skip(const char *s, size_t n);

/* Prints an escaped text in at most @max columns, 0: any number; what is cut off is shown by "…". */
void text_print_cut(FILE *f, const char *s, size_t max);

/* Prints it escaped. */
void text_print(FILE *f, const char *s);
