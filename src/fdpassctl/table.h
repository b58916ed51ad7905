/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Tables for people: aligned, and cut to the terminal's width. */

#include "fdpassctl/terminal.h"

typedef struct Table Table;

typedef enum ColumnFlags {
        COLUMN_LEFT = 0,
        COLUMN_RIGHT = 1 << 0,  /* numbers */
        COLUMN_SHRINK = 1 << 1, /* gives way where the line is too long, and is cut with "…" */
        COLUMN_CUT_LEFT = 1 << 2, /* … at its beginning: the end of a path says more */
} ColumnFlags;

typedef struct Column {
        const char *title;
        ColumnFlags flags;
} Column;

/* @columns must outlive it. NULL where memory is out, as for all that follows; then nothing is shown. */
Table *table_new(const Column *columns, size_t n_columns);
Table *table_free(Table *t);
DEFINE_CLEANUP(Table *, table_free);

/* The next cell, in the order of reading. The text is escaped. */
void table_text(Table *t, const char *text, Color color);
void table_number(Table *t, uint64_t n, Color color);

/*
 * With as many rows as fit into @max_rows, 0: all of them. @columns: the width of a line, 0: any. Where even cut texts
 * are too long, the columns at the end are left out.
 */
void table_print(Table *t, FILE *f, size_t columns, size_t max_rows, bool with_header);

/* "12ms", "3.4s", "5min 2s", "2h 5min", "3d 4h": @ret has room for 32 bytes. Returns @ret. */
const char *format_span(char ret[static 32], uint64_t usec);
