/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Converts a configuration of Apache httpd for mod_proxy_fdpass to units. Conditions, expressions and the directives of
 * other modules are not evaluated: the parser reads the lines that define routes, and reports lines that it can't
 * express.
 */

#include <stdio.h>

#include "basic/strlist.h"
#include "fdpassctl/httpd-access.h"

/* One ProxyPass or ProxyPassMatch line with an fd:// target. */
typedef struct HttpdRoute {
        unsigned line;     /* number of the line, from 1 */
        StringList hosts;  /* names of the virtual host, for Host=; none: all hosts */
        char *path;        /* for Path= */
        char *worker;      /* absolute path of the worker's socket */
        char *flusher;     /* for Flusher=; default "flush" */
        StringList sources; /* for Source=; none: all clients */
        size_t host;       /* index of the virtual host in HttpdAccess; 0: the server */
        size_t condition;  /* index of the condition around the line in HttpdAccess; 0: none */
        void *userdata;    /* of httpd_read() */
} HttpdRoute;

typedef struct HttpdRoutes {
        HttpdRoute *items;
        size_t n_items;
        HttpdAccess access; /* clients that httpd keeps out */
} HttpdRoutes;

void httpd_routes_done(HttpdRoutes *routes);

/* Reports a line (from 1) that units can't express, or not exactly. @message is one sentence without a line break. */
typedef void (*HttpdSay)(void *userdata, unsigned line, const char *message);

/*
 * Reads the @n bytes at @text, and adds their routes to @routes, which begins as {}. A relative fd:// path is below
 * @server_root until the text sets ServerRoot. Returns 0, or -ENOMEM, after which only httpd_routes_done() may follow.
 */
int httpd_read(HttpdRoutes *routes, const char *text, size_t n, const char *server_root, HttpdSay say, void *userdata);

/*
 * Sets the sources of all routes, after the last file. Removes and reports the routes to which httpd lets in other
 * clients than Source= can express. Returns 0 or -ENOMEM, as httpd_read().
 */
int httpd_finish(HttpdRoutes *routes, HttpdSay say);

/* Both for one file. Returns 0, and routes in @ret for httpd_routes_done(), or -ENOMEM. */
int httpd_parse(const char *text, size_t n, const char *server_root, HttpdSay say, void *userdata, HttpdRoutes *ret);

/*
 * Writes the name of the unit of route @i to @ret: "httpd-example.org-chat.target". At most @size bytes with the NUL.
 */
void httpd_unit_name(const HttpdRoutes *routes, size_t i, char *ret, size_t size);

/* Prints the unit, which names @file in its description. */
void httpd_unit_print(const HttpdRoute *route, const char *file, FILE *f);
