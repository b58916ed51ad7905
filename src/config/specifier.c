/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config/specifier.h"

#include "probe/slice.h"

/* Buffer of the expanded value. */
typedef struct SpecifierOutput {
        char *p;
        size_t n;    /* bytes written */
        size_t size; /* of the buffer, with room for a NUL */
} SpecifierOutput;

static int specifier_put(SpecifierOutput *out, const char *s, size_t n) {
        if (n >= out->size - out->n)
                return SPECIFIER_TOO_LONG;

        memcpy(out->p + out->n, s, n);
        out->n += n;
        return 0;
}

/* Reverses systemd-escape(1): "-" stands for "/", and "\x2d" for "-". */
static int specifier_put_unescaped(SpecifierOutput *out, const char *s, size_t n) {
        for (size_t i = 0; i < n; i++) {
                char c = s[i] == '-' ? '/' : s[i];
                int r;

                if (c == '\\') {
                        int high = i + 3 < n && s[i + 1] == 'x' ? ascii_hex_value((uint8_t) s[i + 2]) : -1;
                        int low = high >= 0 ? ascii_hex_value((uint8_t) s[i + 3]) : -1;

                        /* Refuse a NUL, which would cut the value without an error. */
                        if (low < 0 || (high == 0 && low == 0))
                                return SPECIFIER_MALFORMED;

                        c = (char) (uint8_t) (high << 4 | low);
                        i += 3;
                }

                r = specifier_put(out, &c, 1);
                if (r != 0)
                        return r;
        }

        return 0;
}

static int specifier_put_percent(SpecifierOutput *out, _unused_ const SpecifierContext *c) {
        return specifier_put(out, "%", 1);
}

static int specifier_put_hostname(SpecifierOutput *out, const SpecifierContext *c) {
        return specifier_put(out, c->hostname, strlen(c->hostname));
}

static int specifier_put_instance(SpecifierOutput *out, const SpecifierContext *c) {
        return specifier_put(out, c->unit->instance, c->unit->n_instance);
}

static int specifier_put_instance_unescaped(SpecifierOutput *out, const SpecifierContext *c) {
        return specifier_put_unescaped(out, c->unit->instance, c->unit->n_instance);
}

/* Returns the part of the prefix after its last dash. */
static const char *specifier_last_component(const UnitName *u, size_t *ret_n) {
        const char *dash = memrchr(u->name, '-', u->n_prefix), *s = dash ? dash + 1 : u->name;

        *ret_n = (size_t) (u->name + u->n_prefix - s);
        return s;
}

static int specifier_put_last_component(SpecifierOutput *out, const SpecifierContext *c) {
        size_t n;
        const char *s = specifier_last_component(c->unit, &n);

        return specifier_put(out, s, n);
}

static int specifier_put_last_component_unescaped(SpecifierOutput *out, const SpecifierContext *c) {
        size_t n;
        const char *s = specifier_last_component(c->unit, &n);

        return specifier_put_unescaped(out, s, n);
}

static int specifier_put_name(SpecifierOutput *out, const SpecifierContext *c) {
        return specifier_put(out, c->unit->name, strlen(c->unit->name));
}

static int specifier_put_stem(SpecifierOutput *out, const SpecifierContext *c) {
        return specifier_put(out, c->unit->name, c->unit->n_stem);
}

static int specifier_put_prefix(SpecifierOutput *out, const SpecifierContext *c) {
        return specifier_put(out, c->unit->name, c->unit->n_prefix);
}

static int specifier_put_prefix_unescaped(SpecifierOutput *out, const SpecifierContext *c) {
        return specifier_put_unescaped(out, c->unit->name, c->unit->n_prefix);
}

static int specifier_put_runtime_directory(SpecifierOutput *out, _unused_ const SpecifierContext *c) {
        return specifier_put(out, "/run", 4);
}

typedef struct Specifier {
        char c;
        int (*put)(SpecifierOutput *out, const SpecifierContext *c);
} Specifier;

static const Specifier specifiers[] = {
        { '%', specifier_put_percent },
        { 'H', specifier_put_hostname },
        { 'I', specifier_put_instance_unescaped },
        { 'J', specifier_put_last_component_unescaped },
        { 'N', specifier_put_stem },
        { 'P', specifier_put_prefix_unescaped },
        { 'i', specifier_put_instance },
        { 'j', specifier_put_last_component },
        { 'n', specifier_put_name },
        { 'p', specifier_put_prefix },
        { 't', specifier_put_runtime_directory },
};

static int specifier_expand_one(char specifier, const SpecifierContext *c, SpecifierOutput *out) {
        for (size_t i = 0; i < ELEMENTSOF(specifiers); i++)
                if (specifiers[i].c == specifier)
                        return specifiers[i].put(out, c);

        return SPECIFIER_UNKNOWN;
}

int specifier_expand(const char *s, const SpecifierContext *c, char *ret, size_t size, const char **ret_bad) {
        SpecifierOutput out = { .p = ret, .size = size };

        for (;;) {
                size_t n = strcspn(s, "%");
                int r;

                r = specifier_put(&out, s, n);
                if (r != 0) {
                        *ret_bad = s;
                        return r;
                }

                s += n;
                if (*s == '\0')
                        break;

                r = specifier_expand_one(s[1], c, &out);
                if (r != 0) {
                        *ret_bad = s;
                        return r;
                }

                s += 2;
        }

        out.p[out.n] = '\0';
        return 0;
}
