/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/httpd-url.h"

#include <ctype.h>
#include <stdio.h>

#include "basic/utf8.h"
#include "probe/http.h"

/* A unit has no control characters, and is UTF-8. */
static bool url_is_printable(const char *s) {
        for (; *s; s += utf8_printable(s))
                if (utf8_printable(s) == 0)
                        return false;

        return true;
}

bool httpd_path_is_expressible(const char *path) {
        return path[0] == '/' && !strpbrk(path, "?#\"' ") && url_is_printable(path) &&
               !http_path_is_ambiguous(slice_from_string(path));
}

bool httpd_url_make_worker(const char *server_root, const char *rest, char ret[static HTTPD_SOCKET_MAX + 1]) {
        const char *root = *rest == '/' ? "" : server_root;
        int n = snprintf(ret, HTTPD_SOCKET_MAX + 1, "%s%s%s", root, *root && !endswith(root, "/") ? "/" : "", rest);

        if (n < 0 || (size_t) n > HTTPD_SOCKET_MAX || ret[0] != '/' || endswith(ret, "/") || endswith(ret, " ") ||
            strpbrk(ret, "*?$\"\\"))
                return false;

        if (!url_is_printable(ret))
                return false;

        if (startswith(ret, "/var/run/")) /* a symbolic link, which the broker does not follow */
                memmove(ret, ret + strlen("/var"), strlen(ret + strlen("/var")) + 1);

        /* systemd and the unit parser accept no "." and ".." in a path. */
        return !strstr(ret, "/../") && !strstr(ret, "/./") && !endswith(ret, "/..") && !endswith(ret, "/.") && *rest;
}

const char *httpd_url_skip_scheme(const char *url) {
        const char *bar = startswith(url, "unix:") ? strchr(url, '|') : NULL;

        url = bar ? bar + 1 : url;
        return strncasecmp(url, "fd://", 5) == 0 ? url + 5 : NULL;
}

int httpd_url_substitute(const char *url, const HttpdAlternative *a, char ret[static HTTPD_URL_MAX]) {
        const char *begin = url;
        size_t n = 0;

        while (*url && n < HTTPD_URL_MAX - HTTPD_REGEX_TEXT_MAX - 1) {
                bool is_group = url[0] == '$' && isdigit((unsigned char) url[1]);
                size_t group = is_group ? (size_t) (url[1] - '0') : 0;

                if (!is_group) {
                        url += url[0] == '\\' && (url[1] == '$' || url[1] == '\\');
                        ret[n++] = *url++;
                        continue;
                }

                if (a->groups[group].end < 0)
                        return 0;
                for (int i = a->groups[group].begin; i < a->groups[group].end; i++)
                        ret[n++] = a->text[i];
                url += 2;
        }

        ret[n] = '\0';
        return streq(ret, begin) ? -1 : 1;
}
