/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The paths that a line of httpd takes. */

#include "basic/macro.h"

typedef enum HttpdAreaKind {
        HTTPD_AREA_EXACT,   /* the path alone */
        HTTPD_AREA_BELOW,   /* the path and those below, as Path= */
        HTTPD_AREA_BEGIN,   /* all paths that begin with these bytes */
        HTTPD_AREA_UNKNOWN, /* some of the paths that begin with these bytes */
} HttpdAreaKind;

typedef struct HttpdArea {
        HttpdAreaKind kind;
        char *path;
        char *worker; /* absolute path of the socket; NULL: no unit can express where httpd sends these requests */
        bool has_fringe; /* the difference between the line and its unit was reported */
        bool is_held;    /* a line that keeps clients out was reported */
} HttpdArea;

/* Returns whether @a has all paths of @b. */
bool httpd_area_covers(const HttpdArea *a, const HttpdArea *b);

/* Returns whether a path may be in both. */
bool httpd_area_overlaps(const HttpdArea *a, const HttpdArea *b);
