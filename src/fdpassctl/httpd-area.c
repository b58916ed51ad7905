/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/httpd-area.h"

#include "probe/http.h"

static bool area_has_prefix(const char *path, const char *prefix) {
        return http_path_has_prefix(slice_from_string(path), slice_from_string(prefix));
}

bool httpd_area_covers(const HttpdArea *a, const HttpdArea *b) {
        switch (a->kind) {

        case HTTPD_AREA_EXACT:
                return b->kind == HTTPD_AREA_EXACT && streq(a->path, b->path);

        case HTTPD_AREA_BELOW:
                if (!area_has_prefix(b->path, a->path))
                        return false;
                if (b->kind == HTTPD_AREA_EXACT || b->kind == HTTPD_AREA_BELOW)
                        return true;

                /* "/chatx" begins with "/chat", and is not below it. */
                return !streq(a->path, b->path) || endswith(a->path, "/");

        case HTTPD_AREA_BEGIN:
                return startswith(b->path, a->path);

        case HTTPD_AREA_UNKNOWN:
                break;
        }

        return false;
}

bool httpd_area_overlaps(const HttpdArea *a, const HttpdArea *b) {
        if (httpd_area_covers(a, b) || httpd_area_covers(b, a))
                return true;

        if (a->kind < b->kind)
                return httpd_area_overlaps(b, a);

        switch (a->kind) {

        case HTTPD_AREA_EXACT:
        case HTTPD_AREA_BELOW:
                return false;

        case HTTPD_AREA_BEGIN:
        case HTTPD_AREA_UNKNOWN:
                if (startswith(b->path, a->path))
                        return true;

                return b->kind == HTTPD_AREA_BELOW ? area_has_prefix(a->path, b->path) :
                       b->kind != HTTPD_AREA_EXACT && startswith(a->path, b->path);
        }

        return false;
}
