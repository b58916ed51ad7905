/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/table.h"

#include <inttypes.h>

#include "basic/array.h"
#include "fdpassctl/text.h"

#define WIDTH_MIN 6 /* the least width of a column that shrinks */
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
        bool has_failed; /* a cell is missing, because there was no memory */
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
                t->has_failed = true;
                return;
        }

        t->cells[t->n_cells++] = (Cell){ escaped, color };
}

void table_number(Table *t, uint64_t n, Color color) {
        char text[24];

        (void) snprintf(text, sizeof(text), "%" PRIu64, n);
        table_text(t, text, color);
}

void table_state(Table *t, const char *state) {
        table_text(t, state, state_color(state));
}

static void table_measure(const Table *t, size_t *widths) {
        for (size_t i = 0; i < t->n_columns; i++)
                widths[i] = text_width(t->columns[i].title);
        for (size_t i = 0; i < t->n_cells; i++) {
                size_t *w = &widths[i % t->n_columns];

                *w = MAX(*w, text_width(t->cells[i].text));
        }
}

/* Returns the widest column that can lose width, or SIZE_MAX. */
static size_t table_widest(const Table *t, const size_t *widths) {
        size_t widest = SIZE_MAX;

        for (size_t i = 0; i < t->n_columns; i++)
                if (t->columns[i].flags & COLUMN_SHRINK && widths[i] > WIDTH_MIN &&
                    (widest == SIZE_MAX || widths[i] > widths[widest]))
                        widest = i;

        return widest;
}

/*
 * Takes width from the widest column that shrinks, one terminal column at a time, until the line fits or no column can
 * lose more. Returns how many columns of the table fit then.
 */
static size_t table_shrink(const Table *t, size_t *widths, size_t columns) {
        size_t total = t->n_columns - 1, n = t->n_columns, widest;

        for (size_t i = 0; i < t->n_columns; i++)
                total += widths[i];

        for (; columns > 0 && total > columns && (widest = table_widest(t, widths)) != SIZE_MAX; total--)
                widths[widest]--;

        for (; columns > 0 && total > columns && n > 1; n--)
                total -= widths[n - 1] + 1;

        return n;
}

/* Prints the text in exactly @width columns, or without padding behind it if it is the last of its line. */
static void table_print_cell(FILE *f, const char *text, size_t width, ColumnFlags flags, bool is_last) {
        const char *before = "", *after = "";
        size_t n = strlen(text), used = text_width(text);
        int padding;

        if (used > width) {
                width--; /* for the mark */
                if (flags & COLUMN_CUT_LEFT) {
                        before = "…";
                        text = text_fit_end(text, width);
                        n = strlen(text);
                        used = text_width(text);
                } else {
                        after = "…";
                        n = text_fit(text, width, &used);
                }
        }

        /* A cut text needs padding, too, where a wide character did not fit. */
        padding = (int) (width - used);
        fprintf(f, "%*s%s%.*s%s%*s", flags & COLUMN_RIGHT ? padding : 0, "", before, (int) n, text, after,
                flags & COLUMN_RIGHT || is_last ? 0 : padding, "");
}

static void table_print_header(const Table *t, FILE *f, const size_t *widths, size_t n) {
        fputs(terminal_color(COLOR_BOLD), f);
        for (size_t i = 0; i < n; i++) {
                table_print_cell(f, t->columns[i].title, widths[i], t->columns[i].flags & COLUMN_RIGHT, i == n - 1);
                fputs(i < n - 1 ? " " : "", f);
        }
        fprintf(f, "%s\n", terminal_color(COLOR_NONE));
}

static void table_print_row(const Table *t, FILE *f, const Cell *cells, const size_t *widths, size_t n) {
        for (size_t i = 0; i < n; i++) {
                bool is_last = i == n - 1, has_color = cells[i].color != COLOR_NONE;

                fputs(has_color ? terminal_color(cells[i].color) : "", f);
                table_print_cell(f, cells[i].text, widths[i], t->columns[i].flags, is_last);
                fputs(has_color ? terminal_color(COLOR_NONE) : "", f);
                fputs(is_last ? "\n" : " ", f);
        }
}

void table_print(const Table *t, FILE *f, size_t columns, bool with_header) {
        size_t widths[COLUMNS_MAX], n;

        if (!t || t->has_failed) {
                fprintf(stderr, "Out of memory.\n");
                return;
        }

        table_measure(t, widths);
        n = table_shrink(t, widths, columns);

        if (with_header)
                table_print_header(t, f, widths, n);
        for (size_t i = 0; i + t->n_columns <= t->n_cells; i += t->n_columns)
                table_print_row(t, f, t->cells + i, widths, n);
}

Color state_color(const char *state) {
        static const struct {
                const char *state;
                Color color;
        } colors[] = {
                { "ready", COLOR_GREEN },    { "accepting", COLOR_GREEN }, { "running", COLOR_GREEN },
                { "gone", COLOR_RED },       { "stuck", COLOR_RED },       { "paused", COLOR_RED },
                { "hanging", COLOR_RED },    { "drained", COLOR_YELLOW },  { "resting", COLOR_YELLOW },
                { "stopping", COLOR_YELLOW },
        };

        for (size_t i = 0; i < ELEMENTSOF(colors); i++)
                if (streq(colors[i].state, state))
                        return colors[i].color;

        return COLOR_NONE;
}
