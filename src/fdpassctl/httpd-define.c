/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Variables: Define, UnDefine and ${} (core.c and util.c of httpd). */

#include <stdio.h>

#include "fdpassctl/httpd-config.h"

/* Returns the index of the variable, or the number of variables. */
static size_t define_find(const HttpdConfig *c, const char *name, size_t n) {
        size_t i = 0;

        while (i < c->names.n_items && (strlen(c->names.items[i]) != n || memcmp(c->names.items[i], name, n) != 0))
                i++;

        return i;
}

HttpdTruth httpd_is_defined(const HttpdConfig *c, const char *name) {
        if (strlist_has(&c->doubtful, name))
                return HTTPD_MAYBE;

        return define_find(c, name, strlen(name)) < c->names.n_items ? HTTPD_TRUE : HTTPD_UNLIKELY;
}

static void define_remove(HttpdConfig *c, const char *name) {
        size_t i = define_find(c, name, strlen(name));

        if (i < c->names.n_items) {
                strlist_remove(&c->names, i);
                strlist_remove(&c->values, i);
        }
        for (size_t k = c->doubtful.n_items; k-- > 0;)
                if (streq(c->doubtful.items[k], name))
                        strlist_remove(&c->doubtful, k);
}

/* Sets the variable; NULL: removes it. In a condition that is not known, its value is not known either. */
static int define_set(HttpdConfig *c, const char *name, const char *value) {
        int r;

        if (httpd_find_condition(c, HTTPD_UNLIKELY))
                return 0;

        define_remove(c, name);
        if (httpd_find_condition(c, HTTPD_MAYBE))
                return strlist_add(&c->doubtful, name);
        if (!value)
                return 0;

        r = strlist_add(&c->values, value);
        return r < 0 ? r : strlist_add(&c->names, name);
}

int httpd_read_define(HttpdConfig *c, const HttpdLine *l) {
        bool is_define = httpd_is(l, "Define");
        int r;

        if ((!is_define && !httpd_is(l, "UnDefine")) || l->n_words < 2)
                return 0;

        /* The value of a name without one is empty. */
        r = define_set(c, l->words[1], !is_define ? NULL : l->n_words > 2 ? l->words[2] : "");
        return r < 0 ? r : 1;
}

/* Returns the value of the variable of @n bytes; NULL: none. httpd looks into its environment, too. */
static const char *define_get(const HttpdConfig *c, const char *name, size_t n) {
        size_t i = define_find(c, name, n);
        char copy[64];

        if (i < c->names.n_items)
                return c->values.items[i];
        if (n >= sizeof(copy) || !c->options.may_include)
                return NULL;

        memcpy(copy, name, n);
        copy[n] = '\0';
        return strlist_has(&c->doubtful, copy) ? NULL : getenv(copy);
}

static size_t define_append(HttpdLine *l, size_t at, const char *s, size_t n) {
        size_t k = MIN(n, sizeof(l->text) - 1 - at);

        memcpy(l->text + at, s, k);
        l->text[at + k] = '\0';
        l->is_cut |= k < n;
        return at + k;
}

void httpd_expand(const HttpdConfig *c, const char *text, HttpdLine *l) {
        size_t at = 0;
        const char *p;

        l->undefined[0] = l->text[0] = '\0';
        while ((p = strstr(text, "${"))) {
                size_t n = strcspn(p + 2, "}");
                const char *value = p[2 + n] ? define_get(c, p + 2, n) : NULL;

                at = define_append(l, at, text, (size_t) (p - text));
                if (!p[2 + n]) {
                        text = p;
                        break;
                }

                /* httpd leaves a variable without a value as it is. */
                if (!value)
                        (void) snprintf(l->undefined, sizeof(l->undefined), "%.*s", (int) MIN(n, (size_t) 60), p + 2);
                at = define_append(l, at, value ?: p, value ? strlen(value) : n + 3);
                text = p + n + 3;
        }

        (void) define_append(l, at, text, strlen(text));
}
