/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The first byte of the input chooses the format, and the rest is the configuration of another program. Whatever it is,
 * the units that come of it are units: a name that add accepts, a route without a finding, and no file outside of the
 * directory. No program is looked at.
 */

#include <stdio.h>

#include "config/config.h"
#include "config/unit-file.h"
#include "fdpassctl/add-marker.h"
#include "fdpassctl/add-units.h"
#include "fdpassctl/import-sink.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool b) {
        if (!b)
                abort();
}

static void check_message(_unused_ void *userdata, const char *file, _unused_ unsigned line, const char *message) {
        require(*file && *message && strlen(message) < 512);
}

static void no_error(_unused_ void *userdata, ConfigSeverity severity, _unused_ const char *unit, _unused_ const char *path,
                     _unused_ unsigned line, _unused_ const char *message) {
        require(severity != CONFIG_ERROR);
}

/* Each line is a comment, a section or a key, and none was begun by a byte of the input. */
static void check_text(const char *path, const char *text) {
        _cleanup_(unit_file_freep) UnitFile *f = NULL;
        size_t n = strlen(text);
        char *copy = malloc(n + 1);

        require(copy);
        memcpy(copy, text, n + 1);
        require(unit_file_parse(path, copy, n, &f) == 0 && f->n_findings == 0);
}

static int check_files(_unused_ void *userdata, AddFiles *files) {
        require(files->n_items > 0);
        for (size_t i = 0; i < files->n_items; i++) {
                const AddFile *file = &files->items[i];
                const char *dot = strrchr(file->path, '.');

                require(dot && file->path[0] != '/' && file->path[0] != '.' && !strstr(file->path, ".."));
                check_text(file->path, file->text);
                if (streq(dot, ".socket"))
                        require(config_check_text(file->path, file->path, file->text, no_error, NULL) == 0);
                if (!streq(dot, ".conf")) {
                        char name[256];

                        (void) snprintf(name, sizeof(name), "%.*s", (int) (dot - file->path), file->path);
                        require(add_marker_check(name, file->text) == ADD_MARKER_WHOLE);
                }
        }

        add_files_done(files);
        return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        const ImportSink sink = { .file = "dir/x.service", .say = check_message, .take = check_files };
        char *text;
        int r;

        if (size == 0 || memchr(data, '\0', size))
                return 0;

        text = malloc(size);
        require(text);
        memcpy(text, data + 1, size - 1);
        text[size - 1] = '\0';
        r = data[0] == 'i' ? import_inetd(&sink, text) : data[0] == 's' ? import_sslh(&sink, text) : import_socket_proxyd(&sink, text);
        require(r == 0);
        free(text);
        return 0;
}
