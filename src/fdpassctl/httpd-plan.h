/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The units of one virtual host, from its lines in the order in which httpd tries them. In httpd the first line that
 * has the path takes a request. Of units, the one with the longest Path= does. So lines that httpd never comes to have
 * no unit, and a line of which an earlier one takes some paths to another place than a unit has none either.
 *
 * Three differences remain, and each is reported. A unit does not take paths that only begin with the bytes of its
 * Path=: of "^/chat()", /chatx may go to a unit with a shorter path. The unit of "^/chat/()" takes /chat, too. The unit
 * of ProxyPass takes the paths below, to which httpd answers 500.
 */

#include "fdpassctl/httpd-config.h"

/* One Path= of a unit. */
typedef struct HttpdItem {
        size_t entry;    /* index of the line */
        HttpdArea *area; /* its paths and their socket, which belongs to the line */
        char *path;      /* for Path= */
} HttpdItem;

typedef struct HttpdPlan {
        HttpdItem *items;
        size_t n_items;
} HttpdPlan;

/* Plans for the server of this index, and reports what has no unit. Returns 0 or -ENOMEM. @ret begins as {}. */
int httpd_plan_make(HttpdConfig *c, size_t server, HttpdPlan *ret);
void httpd_plan_done(HttpdPlan *p);
