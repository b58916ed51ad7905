/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Converts a configuration of Apache httpd for mod_proxy_fdpass to units. Conditions, expressions and the directives of
 * other modules are not evaluated: the parser reads the lines that define routes, and reports lines that it can't
 * express.
 */

#include <stdio.h>

#include "basic/strlist.h"

/* One ProxyPass or ProxyPassMatch line with an fd:// target. */
typedef struct HttpdRoute {
        unsigned line;     /* number of the line, from 1 */
        StringList hosts;  /* names of the virtual host, for Host=; none: all hosts */
        char *path;        /* for Path= */
        char *worker;      /* absolute path of the worker's socket */
        char *flusher;     /* for Flusher=; default "flush" */
} HttpdRoute;

typedef struct HttpdRoutes {
        HttpdRoute *items;
        size_t n_items;
} HttpdRoutes;

void httpd_routes_done(HttpdRoutes *routes);

/* Reports a line (from 1) that units can't express, or not exactly. @message is one sentence without a line break. */
typedef void (*HttpdSay)(void *userdata, unsigned line, const char *message);

/*
 * Reads the @n bytes at @text. A relative fd:// path is below @server_root until the text sets ServerRoot. Returns 0,
 * and routes in @ret for httpd_routes_done(), or -ENOMEM.
 */
int httpd_parse(const char *text, size_t n, const char *server_root, HttpdSay say, void *userdata, HttpdRoutes *ret);

/*
 * Writes the name of the unit of route @i to @ret: "httpd-example.org-chat.target". At most @size bytes with the NUL.
 */
void httpd_unit_name(const HttpdRoutes *routes, size_t i, char *ret, size_t size);

/* Prints the unit, which names @file in its description. */
void httpd_unit_print(const HttpdRoute *route, const char *file, FILE *f);
