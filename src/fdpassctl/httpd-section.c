/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/httpd-section.h"

#include <ctype.h>

#include "fdpassctl/httpd-regex.h"
#include "probe/http.h"

void httpd_rule_done(HttpdRule *r) {
        strlist_clear(&r->sources);
        free(r->directive);
        free(r->path);
        *r = (HttpdRule){};
}

HttpdSection *httpd_section_top(const HttpdAccess *a) {
        return &a->sections[a->n_sections - 1];
}

bool httpd_section_is_inside(const HttpdAccess *a, AccessKind kind) {
        for (size_t i = 0; i < a->n_sections; i++)
                if (a->sections[i].kind == kind)
                        return true;

        return false;
}

HttpdSection *httpd_section_scope(const HttpdAccess *a) {
        size_t i = a->n_sections - 1;

        while (i > 0 && a->sections[i].kind != ACCESS_HOST && a->sections[i].kind != ACCESS_PROXY &&
               a->sections[i].kind != ACCESS_LOCATION && a->sections[i].kind != ACCESS_IF)
                i--;

        return &a->sections[i];
}

HttpdSection *httpd_section_group(const HttpdAccess *a) {
        HttpdSection *scope = httpd_section_scope(a);

        for (HttpdSection *s = httpd_section_top(a); s > scope; s--)
                if (s->kind >= ACCESS_ANY)
                        return s;

        return scope;
}

AccessKind httpd_section_kind(const char *name) {
        static const struct {
                const char *name;
                AccessKind kind;
        } kinds[] = {
                { "VirtualHost", ACCESS_HOST }, { "Location", ACCESS_LOCATION },
                { "LocationMatch", ACCESS_LOCATION }, { "Proxy", ACCESS_PROXY },
                { "ProxyMatch", ACCESS_PROXY }, { "Directory", ACCESS_FILES },
                { "DirectoryMatch", ACCESS_FILES }, { "Files", ACCESS_FILES },
                { "FilesMatch", ACCESS_FILES }, { "If", ACCESS_IF },
                { "ElseIf", ACCESS_IF }, { "Else", ACCESS_IF },
                { "IfDefine", ACCESS_CONDITION }, { "IfModule", ACCESS_CONDITION },
                { "IfVersion", ACCESS_CONDITION }, { "IfFile", ACCESS_CONDITION },
                { "IfDirective", ACCESS_CONDITION }, { "IfSection", ACCESS_CONDITION },
                { "Limit", ACCESS_LIMIT },
                { "LimitExcept", ACCESS_LIMIT }, { "RequireAny", ACCESS_ANY },
                { "RequireAll", ACCESS_ALL }, { "RequireNone", ACCESS_NONE },
        };

        for (size_t i = 0; i < ELEMENTSOF(kinds); i++)
                if (strcasecmp(name, kinds[i].name) == 0)
                        return kinds[i].kind;

        return ACCESS_OTHER;
}

/* Reads the bytes that each path begins with that matches the expression. */
static int section_set_regex(HttpdSection *s, const char *regex) {
        size_t n = httpd_regex_prefix(regex);

        s->paths = n > 0 && !regex[1 + n] ? HTTPD_PATHS_BEGIN : HTTPD_PATHS_UNKNOWN;
        s->path = strndup(regex + (n > 0), n);
        return s->path ? 0 : -ENOMEM;
}

/*
 * Reads the path of <Location>. httpd compares it with the decoded path, and "*" and "?" are wildcards. "$" and "@" may
 * begin a variable (Define, Macro).
 */
int httpd_section_set_location(HttpdSection *s, char *const *words, size_t n) {
        const char *path = n == 2 ? words[1] : "";

        s->rank = HTTPD_RANK_LOCATION;
        if (n == 2 && strcasecmp(words[0], "<LocationMatch") == 0)
                return section_set_regex(s, words[1]);
        if (n == 3 && streq(words[1], "~"))
                return section_set_regex(s, words[2]);

        if (path[0] != '/' || strchr(path, '%') || http_path_is_ambiguous(slice_from_string(path)))
                path = "";
        s->path = strndup(path, strcspn(path, "*?[\\$@"));
        if (!s->path)
                return -ENOMEM;

        s->paths = *path && streq(path, s->path) ? HTTPD_PATHS_BELOW : HTTPD_PATHS_UNKNOWN;
        return 0;
}

/* Reads <Proxy>. One for URLs of another scheme holds for no route. */
void httpd_section_set_proxy(HttpdSection *s, char *const *words, size_t n) {
        const char *url = n == 2 && strcasecmp(words[0], "<Proxy") == 0 ? words[1] : "";
        size_t k = 0;

        while (isalnum((unsigned char) url[k]))
                k++;

        s->rank = HTTPD_RANK_PROXY;
        s->paths = streq(url, "*") ? HTTPD_PATHS_ALL : HTTPD_PATHS_UNKNOWN;
        if (k > 0 && startswith(url + k, "://") && strncasecmp(url, "fd:", 3) != 0)
                s->kind = ACCESS_FILES;
}
