/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Conditions of the configuration: <IfDefine>, <IfModule>, <IfVersion> and others. Those that files alone don't decide
 * are left to httpd-access.c as well, because a line in them may keep clients out.
 */

#include <ctype.h>
#include <stdio.h>

#include "basic/array.h"
#include "fdpassctl/httpd-config.h"

/* Returns whether the line begins or, with "/" in @mark, ends a section of the name. */
static bool condition_is_section(const char *text, const char *mark, const char *name) {
        size_t n = strlen(name);
        const char *s = startswith(text, mark);

        return s && strncasecmp(s, name, n) == 0 && (!s[n] || s[n] == '>' || isspace((unsigned char) s[n]));
}

bool httpd_skip(HttpdConfig *c, const char *text) {
        if (!c->skipped)
                return false;

        if (condition_is_section(text, "</", c->skipped) && --c->skip_depth == 0) {
                free(c->skipped);
                c->skipped = NULL;
        } else if (condition_is_section(text, "<", c->skipped))
                c->skip_depth++;

        return true;
}

/* A name that is not defined may be one of the command line: -D. */
static HttpdTruth condition_of_define(const HttpdConfig *c, const char *word) {
        bool is_not = word[0] == '!';
        HttpdTruth truth = httpd_is_defined(c, word + is_not);

        if (truth == HTTPD_TRUE && is_not)
                return HTTPD_FALSE;

        return truth == HTTPD_UNLIKELY && is_not ? HTTPD_MAYBE : truth;
}

/* Modules without which no line with fd:// works, and those that are part of Debian's httpd. */
static bool condition_is_always_loaded(const char *module) {
        static const char *const modules[] = {
                "mod_proxy.c", "proxy_module", "mod_proxy_fdpass.c", "proxy_fdpass_module", "mod_authz_core.c",
                "authz_core_module", "mod_authz_host.c", "authz_host_module", "core.c", "core_module", "http_core.c",
                "http_module", "mod_so.c", "so_module", "mod_log_config.c", "log_config_module", "mod_unixd.c",
                "unixd_module", "mod_version.c", "version_module",
        };

        for (size_t i = 0; i < ELEMENTSOF(modules); i++)
                if (streq(module, modules[i]))
                        return true;

        return false;
}

static HttpdTruth condition_of_module(const HttpdConfig *c, const char *word) {
        bool is_not = word[0] == '!';

        if (condition_is_always_loaded(word + is_not) || strlist_has(&c->modules, word + is_not))
                return is_not ? HTTPD_FALSE : HTTPD_TRUE;
        if (c->modules.n_items == 0)
                return HTTPD_MAYBE;

        return is_not ? HTTPD_MAYBE : HTTPD_UNLIKELY;
}

/* Compares with 2.4 and an unknown number behind it. */
static HttpdTruth condition_of_version(const HttpdLine *l) {
        const char *op = l->n_words > 2 ? l->words[1] : "=", *version = l->words[l->n_words - 1];
        bool is_not = op[0] == '!';
        unsigned major, minor = 0, patch;
        int n = sscanf(version, "%3u.%3u.%3u", &major, &minor, &patch), d;

        if (n < 1 || strchr(op, '~'))
                return HTTPD_MAYBE;

        op += is_not;
        d = major != 2 ? (2 > major) - (2 < major) : (4 > minor) - (4 < minor);
        if (d == 0 && n < 3 && streq(op, ">="))
                return is_not ? HTTPD_FALSE : HTTPD_TRUE;
        if (d == 0)
                return HTTPD_MAYBE;

        return (op[0] == '>' ? d > 0 : op[0] == '<' ? d < 0 : false) != is_not ? HTTPD_TRUE : HTTPD_FALSE;
}

/* "LoadModule x_module modules/mod_x.so" */
static int condition_read_module(HttpdConfig *c, const HttpdLine *l) {
        const char *slash = l->n_words > 2 ? strrchr(l->words[2], '/') : NULL, *file = slash ? slash + 1 : "";
        char name[128];

        if (httpd_find_condition(c, HTTPD_UNLIKELY) || httpd_find_condition(c, HTTPD_MAYBE) || l->n_words < 2)
                return 1;

        (void) snprintf(name, sizeof(name), "%.*s.c", (int) MIN(strcspn(file, "."), (size_t) 100), file);
        if (strlist_add(&c->modules, l->words[1]) < 0 || strlist_add(&c->modules, name) < 0)
                return -ENOMEM;

        return 1;
}

static int condition_open(HttpdConfig *c, const HttpdLine *l, HttpdTruth truth) {
        HttpdCondition d = { .name = strdup(l->words[0] + 1), .truth = truth, .line = l->place.line };
        int n = asprintf(&d.text, "%s %s", l->words[0] + 1, l->words[1]);

        if (!d.name || n < 0 || (truth != HTTPD_FALSE && !ARRAY_GROW(c->conditions, c->n_conditions))) {
                free(d.name);
                if (n >= 0)
                        free(d.text);
                return -ENOMEM;
        }

        if (truth != HTTPD_FALSE) {
                c->conditions[c->n_conditions++] = d;
                return truth == HTTPD_TRUE;
        }

        c->skipped = TAKE_PTR(d.name);
        c->skip_depth = 1;
        httpd_condition_done(&d);
        return 1;
}

/* Ends the innermost condition of the name. Returns whether it was certain. */
static int condition_close(HttpdConfig *c, const char *name) {
        for (size_t i = c->n_conditions; i > 0; i--) {
                HttpdCondition *d = &c->conditions[i - 1];
                bool is_certain = d->truth == HTTPD_TRUE;

                if (strcasecmp(d->name, name) != 0)
                        continue;

                httpd_condition_done(d);
                memmove(d, d + 1, (c->n_conditions - i) * sizeof(*d));
                c->n_conditions--;
                return is_certain;
        }

        return 0;
}

int httpd_read_condition(HttpdConfig *c, const HttpdLine *l) {
        static const char *const others[] = { "<IfFile", "<IfDirective", "<IfSection", "<If", "<ElseIf", "<Else" };

        if (httpd_is(l, "LoadModule"))
                return condition_read_module(c, l);
        if (strncasecmp(l->words[0], "</If", 4) == 0 || strncasecmp(l->words[0], "</Else", 6) == 0)
                return condition_close(c, l->words[0] + 2);
        if (l->n_words < 2)
                return 0;

        if (httpd_is(l, "<IfDefine"))
                return condition_open(c, l, condition_of_define(c, l->words[1]));
        if (httpd_is(l, "<IfModule"))
                return condition_open(c, l, condition_of_module(c, l->words[1]));
        if (httpd_is(l, "<IfVersion"))
                return condition_open(c, l, condition_of_version(l));

        for (size_t i = 0; i < ELEMENTSOF(others); i++)
                if (httpd_is(l, others[i]))
                        return condition_open(c, l, HTTPD_MAYBE);

        return 0;
}
