/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What a configuration of Apache httpd hands to mod_proxy_fdpass, and the units that do the same.
 *
 * httpd's language has conditions, expressions and modules without end: this reads the lines that matter here, and says
 * of everything that concerns them and that it can't express where it stands.
 */

#include <stdio.h>

#include "basic/strlist.h"

/* One ProxyPass or ProxyPassMatch line with an fd:// target. */
typedef struct HttpdRoute {
        unsigned line;
        StringList hosts;  /* of its virtual host, as Host= has them; none: all */
        char *path;        /* as Path= has it */
        char *worker;      /* absolute path of the worker's socket */
        char *flusher;     /* "flush", if not given */
} HttpdRoute;

typedef struct HttpdRoutes {
        HttpdRoute *items;
        size_t n_items;
} HttpdRoutes;

void httpd_routes_done(HttpdRoutes *routes);

/* What could not be expressed, or is not the same: @line counts from 1. One sentence. */
typedef void (*HttpdSay)(void *userdata, unsigned line, const char *message);

/*
 * Reads the @n bytes at @text, with a relative fd:// path below @server_root until the file says another. Returns 0 or
 * -ENOMEM.
 */
int httpd_parse(const char *text, size_t n, const char *server_root, HttpdSay say, void *userdata, HttpdRoutes *ret);

/* Names the unit of the route number @i: "httpd-example.org-chat.target". Writes at most @size bytes with a NUL. */
void httpd_unit_name(const HttpdRoutes *routes, size_t i, char *ret, size_t size);

/* Prints the unit. @file is named in it. */
void httpd_unit_print(const HttpdRoute *route, const char *file, FILE *f);
