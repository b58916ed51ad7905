/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The URL of ProxyPass, fd://PATH: the worker's socket. */

#include <sys/un.h>

#include "fdpassctl/httpd-regex.h"

#define HTTPD_URL_MAX 8192
#define HTTPD_SOCKET_MAX (sizeof(((struct sockaddr_un *) NULL)->sun_path) - 1)

/* Returns whether Path= can express the path. */
bool httpd_path_is_expressible(const char *path);

/* Returns the path of the URL, or NULL if its scheme is another one. */
const char *httpd_url_skip_scheme(const char *url);

/*
 * Replaces "$1" and the like in the path of the URL by the groups of the expression (ap_pregsub() of httpd). A group
 * that is missing is empty. Returns 1, 0 if any bytes of the request would stand there, or -1 if nothing is replaced:
 * httpd adds the whole path of the request then.
 */
int httpd_url_substitute(const char *path, const HttpdAlternative *a, char ret[static HTTPD_URL_MAX]);

/* Makes the path absolute, below ServerRoot, as httpd does. Returns false if no unit can have such a path. */
bool httpd_url_make_worker(const char *server_root, const char *path, char ret[static HTTPD_SOCKET_MAX + 1]);
