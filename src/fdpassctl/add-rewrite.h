/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Rewrites the lines of an example's unit, and explains them by comments. */

#include <stdio.h>

#include "basic/macro.h"

typedef enum AddEditMode {
        ADD_EDIT_REPLACE, /* the line becomes another one, or several */
        ADD_EDIT_DROP,    /* the line goes, and the comments directly in front of it */
        ADD_EDIT_AFTER,   /* lines are added behind it */
} AddEditMode;

typedef struct AddEdit {
        AddEditMode mode;
        const char *prefix; /* beginning of the lines that it is for, such as "ExecStart="; a literal */
        char *lines;        /* without the last line feed; NULL for ADD_EDIT_DROP */
} AddEdit;

/* The edits of all files of one plan. */
typedef struct AddEdits {
        AddEdit *items;
        size_t n_items;
        int error; /* -ENOMEM if an edit could not be added; otherwise 0 */
} AddEdits;

void add_edits_done(AddEdits *edits);

#define _cleanup_edits_ _cleanup_(add_edits_done)

/* Adds an edit. An error is kept in ->error. @prefix is borrowed. */
void add_edit(AddEdits *edits, AddEditMode mode, const char *prefix, const char *format, ...) _printf_(4, 5);
void add_edit_drop(AddEdits *edits, const char *prefix);

typedef struct AddRewrite {
        const AddEdits *edits;
        const char *stem;   /* name of the example's units */
        const char *name;   /* name that takes its place */
        bool keeps_service; /* "STEM.service" is the server's own unit, and keeps its name */
        bool keeps_head;    /* the comments in front of the first section stay */
} AddRewrite;

/* Writes @text, the file of an example, to @f with the edits and the comments. */
void add_rewrite(FILE *f, const char *text, const AddRewrite *rewrite);
