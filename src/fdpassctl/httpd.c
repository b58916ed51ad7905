/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/httpd.h"

#include <stdio.h>

int httpd_config_new(const HttpdOptions *o, HttpdConfig **ret) {
        const HttpdPlace nowhere = { .file = "" };
        _cleanup_(httpd_config_freep) HttpdConfig *c = calloc(1, sizeof(*c));
        int r;

        if (!c)
                return -ENOMEM;

        c->options = *o;
        (void) snprintf(c->root, sizeof(c->root), "%s", o->server_root);

        r = httpd_begin_server(c, &nowhere, NULL, 0);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(c);
        return 0;
}

int httpd_config_read(HttpdConfig *c, const char *name, const char *text, size_t n) {
        int r = httpd_access_begin_file(&c->access);

        if (r >= 0)
                r = httpd_read_text(c, name, text, n);

        /* Sections end with their file. */
        httpd_close_conditions(c, 0);
        free(c->skipped);
        c->skipped = NULL;
        c->open_macro = NULL;
        c->server = 0;
        c->location.number = 0;
        return r < 0 ? r : httpd_access_end_file(&c->access);
}

int httpd_config_read_file(HttpdConfig *c, const char *path) {
        _cleanup_free_ char *text = NULL;
        size_t n = 0;
        int r;

        if (strlist_has(&c->files, path))
                return 0;

        r = httpd_load_file(path, &text, &n);
        if (r >= 0)
                r = strlist_add(&c->arguments, path);
        return r < 0 ? r : httpd_config_read(c, path, text, n);
}
