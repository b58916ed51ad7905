/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config/specifier.h"

typedef struct Output {
        char *p;
        size_t n;
        size_t size;
} Output;

static int put(Output *out, const char *s, size_t n) {
        if (n >= out->size - out->n)
                return SPECIFIER_TOO_LONG;

        memcpy(out->p + out->n, s, n);
        out->n += n;
        return 0;
}

static int hex_digit(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Undoes what systemd-escape(1) does: "-" was "/", "\x2d" was "-". */
static int put_unescaped(Output *out, const char *s, size_t n) {
        for (size_t i = 0; i < n; i++) {
                char c = s[i] == '-' ? '/' : s[i];
                int r;

                if (c == '\\') {
                        int high = i + 3 < n && s[i + 1] == 'x' ? hex_digit(s[i + 2]) : -1;
                        int low = high >= 0 ? hex_digit(s[i + 3]) : -1;

                        /* A NUL would quietly end the value. */
                        if (low < 0 || (high == 0 && low == 0))
                                return SPECIFIER_MALFORMED;

                        c = (char) (uint8_t) (high << 4 | low);
                        i += 3;
                }

                r = put(out, &c, 1);
                if (r != 0)
                        return r;
        }

        return 0;
}

static int put_percent(Output *out, _unused_ const SpecifierContext *c) {
        return put(out, "%", 1);
}

static int put_hostname(Output *out, const SpecifierContext *c) {
        return put(out, c->hostname, strlen(c->hostname));
}

static int put_instance(Output *out, const SpecifierContext *c) {
        return put(out, c->unit->instance, c->unit->n_instance);
}

static int put_instance_unescaped(Output *out, const SpecifierContext *c) {
        return put_unescaped(out, c->unit->instance, c->unit->n_instance);
}

/* What follows the last dash of the prefix. */
static const char *last_component(const UnitName *u, size_t *ret_n) {
        const char *dash = memrchr(u->name, '-', u->n_prefix), *s = dash ? dash + 1 : u->name;

        *ret_n = (size_t) (u->name + u->n_prefix - s);
        return s;
}

static int put_last_component(Output *out, const SpecifierContext *c) {
        size_t n;
        const char *s = last_component(c->unit, &n);

        return put(out, s, n);
}

static int put_last_component_unescaped(Output *out, const SpecifierContext *c) {
        size_t n;
        const char *s = last_component(c->unit, &n);

        return put_unescaped(out, s, n);
}

static int put_name(Output *out, const SpecifierContext *c) {
        return put(out, c->unit->name, strlen(c->unit->name));
}

static int put_stem(Output *out, const SpecifierContext *c) {
        return put(out, c->unit->name, c->unit->n_stem);
}

static int put_prefix(Output *out, const SpecifierContext *c) {
        return put(out, c->unit->name, c->unit->n_prefix);
}

static int put_prefix_unescaped(Output *out, const SpecifierContext *c) {
        return put_unescaped(out, c->unit->name, c->unit->n_prefix);
}

static int put_runtime_directory(Output *out, _unused_ const SpecifierContext *c) {
        return put(out, "/run", 4);
}

typedef struct Specifier {
        char c;
        int (*put)(Output *out, const SpecifierContext *c);
} Specifier;

static const Specifier specifiers[] = {
        { '%', put_percent },
        { 'H', put_hostname },
        { 'I', put_instance_unescaped },
        { 'J', put_last_component_unescaped },
        { 'N', put_stem },
        { 'P', put_prefix_unescaped },
        { 'i', put_instance },
        { 'j', put_last_component },
        { 'n', put_name },
        { 'p', put_prefix },
        { 't', put_runtime_directory },
};

static int expand_one(char specifier, const SpecifierContext *c, Output *out) {
        for (size_t i = 0; i < ELEMENTSOF(specifiers); i++)
                if (specifiers[i].c == specifier)
                        return specifiers[i].put(out, c);

        return SPECIFIER_UNKNOWN;
}

int specifier_expand(const char *s, const SpecifierContext *c, char *ret, size_t size, const char **ret_bad) {
        Output out = { .p = ret, .size = size };

        for (;;) {
                size_t n = strcspn(s, "%");
                int r;

                r = put(&out, s, n);
                if (r != 0) {
                        *ret_bad = s;
                        return r;
                }

                s += n;
                if (*s == '\0')
                        break;

                r = expand_one(s[1], c, &out);
                if (r != 0) {
                        *ret_bad = s;
                        return r;
                }

                s += 2;
        }

        out.p[out.n] = '\0';
        return 0;
}
