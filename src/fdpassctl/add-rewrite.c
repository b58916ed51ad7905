/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/add-rewrite.h"

#include <stdarg.h>

#include "basic/array.h"
#include "fdpassctl/add-comments.h"

void add_edits_done(AddEdits *edits) {
        for (size_t i = 0; i < edits->n_items; i++)
                free(edits->items[i].lines);
        free(edits->items);
        *edits = (AddEdits){};
}

static void add_edit_push(AddEdits *edits, AddEditMode mode, const char *prefix, char *lines) {
        if (edits->error >= 0 && ARRAY_GROW(edits->items, edits->n_items)) {
                edits->items[edits->n_items++] = (AddEdit){ mode, prefix, lines };
                return;
        }

        free(lines);
        edits->error = -ENOMEM;
}

void add_edit(AddEdits *edits, AddEditMode mode, const char *prefix, const char *format, ...) {
        char *lines = NULL;
        va_list ap;

        va_start(ap, format);
        if (vasprintf(&lines, format, ap) < 0)
                edits->error = -ENOMEM;
        else
                add_edit_push(edits, mode, prefix, lines);
        va_end(ap);
}

void add_edit_drop(AddEdits *edits, const char *prefix) {
        add_edit_push(edits, ADD_EDIT_DROP, prefix, NULL);
}

/* The lines of an example, one after the other. */
typedef struct AddReader {
        const AddRewrite *rewrite;
        FILE *f;
        const char *comments; /* comments directly in front of the current line; NULL: none */
        bool is_in_section;
        bool is_after_blank;  /* the last line that was written is empty, or there is none */
} AddReader;

/* Returns the beginning of the line behind this one and its continuation lines. */
static const char *add_rewrite_end(const char *line) {
        for (;;) {
                const char *end = strchr(line, '\n');

                if (!end)
                        return line + strlen(line);
                if (end == line || end[-1] != '\\')
                        return end + 1;
                line = end + 1;
        }
}

/* Writes @n bytes with the names of the example's units replaced: "STEM.socket" becomes "NAME.socket". */
static void add_rewrite_names(const AddReader *r, const char *p, size_t n) {
        const char *end = p + n, *stem = r->rewrite->stem;
        size_t n_stem = strlen(stem);

        while (p < end) {
                const char *found = memmem(p, (size_t) (end - p), stem, n_stem);
                bool is_name = found && (startswith(found + n_stem, ".socket") ||
                                         (!r->rewrite->keeps_service && startswith(found + n_stem, ".service")));

                if (!found) {
                        fwrite(p, 1, (size_t) (end - p), r->f);
                        return;
                }

                fwrite(p, 1, (size_t) (found - p), r->f);
                fputs(is_name ? r->rewrite->name : stem, r->f);
                p = found + n_stem;
        }
}

static void add_rewrite_write(AddReader *r, const char *line, size_t n) {
        const char *comment = r->comments ? NULL : add_comment(line);

        if (r->comments)
                add_rewrite_names(r, r->comments, (size_t) (line - r->comments));
        else if (comment)
                fprintf(r->f, "# %s\n", comment);
        add_rewrite_names(r, line, n);
        r->is_after_blank = false;
}

/* Writes the lines of an edit, each with its comment. They have the names already. */
static void add_rewrite_lines(AddReader *r, const char *lines) {
        while (*lines) {
                size_t n = strcspn(lines, "\n");
                const char *comment = add_comment(lines);

                if (comment)
                        fprintf(r->f, "# %s\n", comment);
                fprintf(r->f, "%.*s\n", (int) n, lines);
                lines += n + (lines[n] == '\n');
        }
        r->is_after_blank = false;
}

static bool add_rewrite_finds(const AddReader *r, const char *line, AddEditMode mode, const AddEdit **ret) {
        const AddEdits *edits = r->rewrite->edits;

        for (size_t i = 0; i < edits->n_items; i++)
                if (edits->items[i].mode == mode && startswith(line, edits->items[i].prefix)) {
                        *ret = &edits->items[i];
                        return true;
                }

        return false;
}

static void add_rewrite_line(AddReader *r, const char *line, size_t n) {
        const AddEdits *edits = r->rewrite->edits;
        const AddEdit *edit;

        if (add_rewrite_finds(r, line, ADD_EDIT_REPLACE, &edit))
                add_rewrite_lines(r, edit->lines);
        else if (!add_rewrite_finds(r, line, ADD_EDIT_DROP, &edit))
                add_rewrite_write(r, line, n);

        for (size_t i = 0; i < edits->n_items; i++)
                if (edits->items[i].mode == ADD_EDIT_AFTER && startswith(line, edits->items[i].prefix))
                        add_rewrite_lines(r, edits->items[i].lines);
}

/* Writes comments that belong to no line, and an empty line behind them. There are never two in a row. */
static void add_rewrite_blank(AddReader *r, const char *line) {
        if (r->comments && (r->is_in_section || r->rewrite->keeps_head)) {
                add_rewrite_names(r, r->comments, (size_t) (line - r->comments));
                r->is_after_blank = false;
        }

        if (!r->is_after_blank)
                fputc('\n', r->f);
        r->is_after_blank = true;
}

void add_rewrite(FILE *f, const char *text, const AddRewrite *rewrite) {
        AddReader r = { .rewrite = rewrite, .f = f, .is_after_blank = true };

        while (*text) {
                const char *end = add_rewrite_end(text);

                if (*text == '#' && !startswith(text, "# SPDX")) {
                        end = text + strcspn(text, "\n") + 1;
                        r.comments = r.comments ?: text;
                        text = end;
                        continue;
                }

                if (*text == '[') {
                        r.is_in_section = true;
                        r.comments = NULL;
                }
                if (*text == '\n')
                        add_rewrite_blank(&r, text);
                else if (*text != '#')
                        add_rewrite_line(&r, text, (size_t) (end - text));
                r.comments = NULL;
                text = end;
        }
}
