/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Tables for people: aligned, coloured, and cut to the width of the terminal. */

#include <stdio.h>

#include "fdpassctl/terminal.h"

typedef struct Table Table;

typedef enum ColumnFlags {
        COLUMN_LEFT = 0,
        COLUMN_RIGHT = 1 << 0,    /* numbers */
        COLUMN_SHRINK = 1 << 1,   /* loses width if the line is too long; cut texts end in "…" */
        COLUMN_CUT_LEFT = 1 << 2, /* cut texts begin with "…": the end of a path tells more than its beginning */
} ColumnFlags;

typedef struct Column {
        const char *title;
        ColumnFlags flags;
} Column;

/* Returns a table without rows, or NULL without memory. @columns must outlive it. */
Table *table_new(const Column *columns, size_t n_columns);
Table *table_free(Table *t);
DEFINE_CLEANUP(Table *, table_free);

/*
 * Adds the next cell, from left to right and from top to bottom. The text is escaped. A failed allocation is remembered
 * for table_print().
 */
void table_text(Table *t, const char *text, Color color);
void table_number(Table *t, uint64_t n, Color color);

/* Adds the state of a broker, a worker, a route or a listener, in its colour. */
void table_state(Table *t, const char *state);

/*
 * Prints the table in lines of at most @columns (0: any width). Columns at the end are left out if they have no room
 * even after the others have shrunk. Without memory it prints an error to stderr.
 */
void table_print(const Table *t, FILE *f, size_t columns, bool with_header);

/* Returns the colour of a state: green if it is good, red if it is not. */
Color state_color(const char *state);
