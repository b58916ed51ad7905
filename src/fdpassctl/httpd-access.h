/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The clients that httpd keeps out: Require and its containers (mod_authz_core), Order, Allow and Deny
 * (mod_access_compat), and a few others.
 *
 * A section with Require replaces the sections before it. Their order is that of HttpdRank. Within one rank, sections
 * of the server come before those of the virtual host, and then the order is that of the lines.
 *
 * <Directory> and <Files> hold for files only, and the request of a proxy has none (proxy_map_location() of mod_proxy).
 */

#include "fdpassctl/httpd-section.h"

void httpd_access_done(HttpdAccess *a);

/* Begins and ends a file. Rules of the server hold for all files. Return 0 or -ENOMEM. */
int httpd_access_begin_file(HttpdAccess *a);
int httpd_access_end_file(HttpdAccess *a);

/*
 * Reads the directive @words of @n words, of which the first begins with "<" for a section. @is_cut says that words are
 * missing. Returns 0 or -ENOMEM.
 */
int httpd_access_read(HttpdAccess *a, const HttpdPlace *place, char *const *words, size_t n, bool is_cut);

/* Adds to the names of the current virtual host. NULL: a name that Host= can't express. Returns 0 or -ENOMEM. */
int httpd_access_add_name(HttpdAccess *a, const char *name);

/* Return the indices of the current virtual host, and of the innermost condition. */
size_t httpd_access_host(const HttpdAccess *a);
size_t httpd_access_condition(const HttpdAccess *a);
