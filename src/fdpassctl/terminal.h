/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The terminal: its colours and its size. */

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

/* Returns whether standard output was a terminal at the first call, which must come before the pager starts. */
bool terminal_is_tty(void);

/* Returns what $SYSTEMD_COLORS says, otherwise $NO_COLOR, otherwise whether standard output is a terminal. */
bool terminal_has_colors(void);

/* Returns the sequence that begins the colour; COLOR_NONE ends every colour. "" if there are no colours. */
const char *terminal_color(Color color);

/* Returns $COLUMNS or the width of the terminal. 0: standard output is no terminal, so lines may have any length. */
size_t terminal_columns(void);

/* Returns $LINES or the height of the terminal, or 24. */
size_t terminal_rows(void);
