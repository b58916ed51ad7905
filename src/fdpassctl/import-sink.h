/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The results of fdpassctl import: units, and messages about lines that no unit can express. */

#include "fdpassctl/add-types.h"

typedef struct ImportSink {
        const char *file; /* name of the file in messages */

        /* Takes a message about a line, from 1; 0: the file as a whole. */
        void (*say)(void *userdata, const char *file, unsigned line, const char *message);

        /* Takes the files of a worker, and frees them. Returns 0 or a negative errno. */
        int (*take)(void *userdata, AddFiles *files);

        void *userdata;
} ImportSink;

/* Passes a message to ->say(). It has at most 511 bytes. */
void import_say(const ImportSink *sink, unsigned line, const char *format, ...) _printf_(3, 4);

/*
 * Makes the units of @plan, which needs no ->recipe, and passes them to ->take(). Keeps ->program_path. Returns 0 or a
 * negative errno.
 */
int import_make(const ImportSink *sink, AddPlan *plan);

/* Adds a line "Key=value" to the route of @plan. Returns 0 or -ENOMEM. */
int import_add_key(AddPlan *plan, const char *key, const char *value);

/*
 * Writes @prefix-@text to @ret, with a dash for each character that a name may not have. The result is a name that
 * add_name_check() accepts.
 */
void import_name(const char *prefix, const char *text, char ret[static ADD_NAME_MAX + 1]);

/* The formats. Each converts @text, which has no NUL inside and is changed. Returns 0 or a negative errno. */
int import_inetd(const ImportSink *sink, char *text);
int import_sslh(const ImportSink *sink, char *text);
int import_socket_proxyd(const ImportSink *sink, char *text);
