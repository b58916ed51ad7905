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

bool httpd_is_defined(const HttpdConfig *c, const char *name) {
        return define_find(c, name, strlen(name)) < c->names.n_items;
}

/* The value of a name without one is empty. */
static int define_set(HttpdConfig *c, const char *name, const char *value) {
        size_t i = define_find(c, name, strlen(name));
        int r;

        if (i < c->names.n_items) {
                strlist_remove(&c->names, i);
                strlist_remove(&c->values, i);
        }

        r = strlist_add(&c->values, value);
        return r < 0 ? r : strlist_add(&c->names, name);
}

int httpd_read_define(HttpdConfig *c, const HttpdLine *l) {
        int r = 1;

        if (httpd_is(l, "Define") && l->n_words > 1) {
                if (!httpd_find_condition(c, HTTPD_UNLIKELY))
                        r = define_set(c, l->words[1], l->n_words > 2 ? l->words[2] : "");
                return r < 0 ? r : 1;
        }
        if (!httpd_is(l, "UnDefine") || l->n_words < 2)
                return 0;

        for (size_t i = define_find(c, l->words[1], strlen(l->words[1])); i < c->names.n_items; i = c->names.n_items) {
                strlist_remove(&c->names, i);
                strlist_remove(&c->values, i);
        }

        return r;
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
        return getenv(copy);
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
