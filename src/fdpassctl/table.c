/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/table.h"

#include <inttypes.h>

#include "basic/array.h"
#include "basic/time.h"

#define WIDTH_MIN 6 /* what a column keeps when it gives way */
#define COLUMNS_MAX 16

typedef struct Cell {
        char *text;
        Color color;
} Cell;

struct Table {
        const Column *columns;
        size_t n_columns;
        Cell *cells;
        size_t n_cells;
        bool failed;
};

Table *table_new(const Column *columns, size_t n_columns) {
        Table *t = calloc(1, sizeof(*t));

        if (t)
                *t = (Table){ .columns = columns, .n_columns = MIN(n_columns, (size_t) COLUMNS_MAX) };

        return t;
}

Table *table_free(Table *t) {
        for (size_t i = 0; t && i < t->n_cells; i++)
                free(t->cells[i].text);
        if (t)
                free(t->cells);
        free(t);
        return NULL;
}

void table_text(Table *t, const char *text, Color color) {
        char *escaped;

        if (!t)
                return;

        escaped = text_escape(text);
        if (!escaped || !ARRAY_GROW(t->cells, t->n_cells)) {
                free(escaped);
                t->failed = true;
                return;
        }

        t->cells[t->n_cells++] = (Cell){ escaped, color };
}

void table_number(Table *t, uint64_t n, Color color) {
        char text[24];

        (void) snprintf(text, sizeof(text), "%" PRIu64, n);
        table_text(t, text, color);
}

static void measure(const Table *t, size_t *widths) {
        for (size_t i = 0; i < t->n_columns; i++)
                widths[i] = text_width(t->columns[i].title);
        for (size_t i = 0; i < t->n_cells; i++) {
                size_t *w = &widths[i % t->n_columns];

                *w = MAX(*w, text_width(t->cells[i].text));
        }
}

/*
 * The widest of those that give way loses a column at a time, until the line fits or none can lose more. Returns how
 * many columns of the table there is room for then.
 */
static size_t shrink(const Table *t, size_t *widths, size_t columns) {
        size_t total = t->n_columns - 1, n = t->n_columns;

        for (size_t i = 0; i < t->n_columns; i++)
                total += widths[i];

        for (; columns > 0 && total > columns; total--) {
                size_t widest = SIZE_MAX;

                for (size_t i = 0; i < t->n_columns; i++)
                        if (t->columns[i].flags & COLUMN_SHRINK && widths[i] > WIDTH_MIN &&
                            (widest == SIZE_MAX || widths[i] > widths[widest]))
                                widest = i;
                if (widest == SIZE_MAX)
                        break;
                widths[widest]--;
        }

        for (; columns > 0 && total > columns && n > 1; n--)
                total -= widths[n - 1] + 1;

        return n;
}

/* The text in exactly that many columns; without padding behind it at the end of a line. */
static void print_cell(FILE *f, const char *text, size_t width, ColumnFlags flags, bool is_last) {
        size_t n = text_width(text);

        if (n > width && flags & COLUMN_CUT_LEFT)
                fprintf(f, "…%s", text_skip(text, n - width + 1));
        else if (n > width)
                fprintf(f, "%.*s…", (int) (text_skip(text, width - 1) - text), text);
        else
                fprintf(f, "%*s%s%*s", (int) (flags & COLUMN_RIGHT ? width - n : 0), "", text,
                        (int) (flags & COLUMN_RIGHT || is_last ? 0 : width - n), "");
}

static void print_header(const Table *t, FILE *f, const size_t *widths, size_t n) {
        fputs(terminal_color(COLOR_BOLD), f);
        for (size_t i = 0; i < n; i++) {
                print_cell(f, t->columns[i].title, widths[i], t->columns[i].flags & COLUMN_RIGHT, i == n - 1);
                fputs(i < n - 1 ? " " : "", f);
        }
        fprintf(f, "%s\n", terminal_color(COLOR_NONE));
}

void table_print(Table *t, FILE *f, size_t columns, size_t max_rows, bool with_header) {
        size_t widths[COLUMNS_MAX], n;

        if (!t || t->failed) {
                fprintf(stderr, "Out of memory.\n");
                return;
        }

        measure(t, widths);
        n = shrink(t, widths, columns);

        if (with_header)
                print_header(t, f, widths, n);

        for (size_t i = 0; i < t->n_cells && (max_rows == 0 || i / t->n_columns < max_rows); i++) {
                const Cell *cell = &t->cells[i];
                size_t k = i % t->n_columns;
                bool is_last = k == n - 1;

                if (k >= n)
                        continue;

                if (cell->color != COLOR_NONE)
                        fputs(terminal_color(cell->color), f);
                print_cell(f, cell->text, widths[k], t->columns[k].flags, is_last);
                if (cell->color != COLOR_NONE)
                        fputs(terminal_color(COLOR_NONE), f);
                fputs(is_last ? "\n" : " ", f);
        }
}

const char *format_span(char ret[static 32], uint64_t usec) {
        uint64_t s = usec / USEC_PER_SEC;

        if (usec < USEC_PER_MSEC)
                (void) snprintf(ret, 32, "%" PRIu64 "µs", usec);
        else if (s < 1)
                (void) snprintf(ret, 32, "%" PRIu64 "ms", usec / USEC_PER_MSEC);
        else if (s < 60)
                (void) snprintf(ret, 32, "%" PRIu64 ".%" PRIu64 "s", s, usec % USEC_PER_SEC / 100000);
        else if (s < 3600)
                (void) snprintf(ret, 32, "%" PRIu64 "min %" PRIu64 "s", s / 60, s % 60);
        else if (s < 86400)
                (void) snprintf(ret, 32, "%" PRIu64 "h %" PRIu64 "min", s / 3600, s / 60 % 60);
        else
                (void) snprintf(ret, 32, "%" PRIu64 "d %" PRIu64 "h", s / 86400, s / 3600 % 24);

        return ret;
}
