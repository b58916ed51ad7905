/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Regular expressions of ProxyPassMatch and <LocationMatch> that have a finite number of beginnings: "^/(a|b)/x()".
 * Each beginning is one alternative. The expression prefers them in this order, as PCRE does.
 */

#include "fdpassctl/httpd-area.h"

#define HTTPD_REGEX_TEXT_MAX 255
#define HTTPD_REGEX_GROUPS 10 /* $0 to $9 */

typedef struct HttpdAlternative {
        HttpdAreaKind kind; /* HTTPD_AREA_EXACT or HTTPD_AREA_BEGIN */
        char text[HTTPD_REGEX_TEXT_MAX + 1];
        struct {
                int begin, end; /* bytes of @text; -1: any bytes */
        } groups[HTTPD_REGEX_GROUPS]; /* empty where the expression has no such group */
} HttpdAlternative;

/*
 * Returns 1, and the alternatives in @ret, which the caller frees. Returns 0 if the expression has something else in
 * it, or more than 64 of them. Otherwise -ENOMEM.
 */
int httpd_regex_expand(const char *regex, HttpdAlternative **ret, size_t *ret_n);

/* Returns how many bytes behind "^" each path has that matches the expression, at least. */
size_t httpd_regex_prefix(const char *regex);
