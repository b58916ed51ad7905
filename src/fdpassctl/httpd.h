/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Converts a configuration of Apache httpd for mod_proxy_fdpass to units that route as httpd 2.4 does. Each line that
 * units can't express, or not exactly, is reported. Where a unit would take requests that httpd gives to something
 * else, there is no unit, but for the cases in httpd-plan.h.
 */

#include <stdio.h>

#include "fdpassctl/httpd-config.h"

void httpd_routes_done(HttpdRoutes *routes);

/* Copies @o. Returns 0, or -ENOMEM. */
int httpd_config_new(const HttpdOptions *o, HttpdConfig **ret);

/* Reads @n bytes at @text as the file @name. Returns 0 or -ENOMEM, after which only httpd_config_free() may follow. */
int httpd_config_read(HttpdConfig *c, const char *name, const char *text, size_t n);

/*
 * Reads the file. Does nothing if a line Include has read it. Returns 0 or a negative errno; -EFBIG: it has more than
 * 16 MiB.
 */
int httpd_config_read_file(HttpdConfig *c, const char *path);

/*
 * Makes the routes, after the last file. @ret is for httpd_routes_done(), and needs the configuration. Returns 0 or
 * -ENOMEM.
 */
int httpd_config_finish(HttpdConfig *c, HttpdRoutes *ret);

/*
 * Writes the name of the unit of route @i to @ret: "httpd-example.org-chat.target". At most @size bytes with the NUL.
 */
void httpd_unit_name(const HttpdRoutes *routes, size_t i, char *ret, size_t size);

/* Prints the unit. */
void httpd_unit_print(const HttpdRoute *route, FILE *f);
