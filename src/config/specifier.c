/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config/specifier.h"

#include "probe/slice.h"

/* Buffer of the expanded value. */
typedef struct SpecifierOutput {
        char *p;
        size_t n;    /* bytes written */
        size_t size; /* of the buffer, with room for a NUL */
} SpecifierOutput;

static int specifier_put(SpecifierOutput *out, Slice s) {
        if (s.n >= out->size - out->n)
                return SPECIFIER_TOO_LONG;

        memcpy(out->p + out->n, s.p, s.n);
        out->n += s.n;
        return 0;
}

/* Reverses systemd-escape(1): "-" stands for "/", and "\x2d" for "-". */
static int specifier_put_unescaped(SpecifierOutput *out, Slice s) {
        for (size_t i = 0; i < s.n; i++) {
                uint8_t c = s.p[i] == '-' ? '/' : s.p[i];
                int r;

                if (c == '\\') {
                        int high = i + 3 < s.n && s.p[i + 1] == 'x' ? ascii_hex_value(s.p[i + 2]) : -1;
                        int low = high >= 0 ? ascii_hex_value(s.p[i + 3]) : -1;

                        /* Refuse a NUL, which would cut the value without an error. */
                        if (low < 0 || (high == 0 && low == 0))
                                return SPECIFIER_MALFORMED;

                        c = (uint8_t) (high << 4 | low);
                        i += 3;
                }

                r = specifier_put(out, (Slice){ &c, 1 });
                if (r != 0)
                        return r;
        }

        return 0;
}

/* Returns the part of the prefix after its last dash. */
static Slice specifier_last_component(Slice prefix) {
        const uint8_t *dash = memrchr(prefix.p, '-', prefix.n);

        return dash ? slice_skip(prefix, (size_t) (dash + 1 - prefix.p)) : prefix;
}

static int specifier_expand_one(char specifier, const SpecifierContext *c, SpecifierOutput *out) {
        Slice name = slice_from_string(c->unit->name);
        Slice prefix = slice_head(name, c->unit->n_prefix);
        Slice instance = { (const uint8_t *) c->unit->instance, c->unit->n_instance };

        switch (specifier) {

        case '%':
                return specifier_put(out, SLICE_LITERAL("%"));
        case 'H':
                return specifier_put(out, slice_from_string(c->hostname));
        case 'I':
                return specifier_put_unescaped(out, instance);
        case 'J':
                return specifier_put_unescaped(out, specifier_last_component(prefix));
        case 'N':
                return specifier_put(out, slice_head(name, c->unit->n_stem));
        case 'P':
                return specifier_put_unescaped(out, prefix);
        case 'i':
                return specifier_put(out, instance);
        case 'j':
                return specifier_put(out, specifier_last_component(prefix));
        case 'n':
                return specifier_put(out, name);
        case 'p':
                return specifier_put(out, prefix);
        case 't':
                return specifier_put(out, SLICE_LITERAL("/run"));
        default:
                return SPECIFIER_UNKNOWN;
        }
}

int specifier_expand(const char *s, const SpecifierContext *c, char *ret, size_t size, const char **ret_bad) {
        SpecifierOutput out = { .p = ret, .size = size };

        for (;;) {
                size_t n = strcspn(s, "%");
                int r = specifier_put(&out, (Slice){ (const uint8_t *) s, n });

                if (r == 0) {
                        s += n;
                        if (*s == '\0')
                                break;
                        r = specifier_expand_one(s[1], c, &out);
                }
                if (r != 0) {
                        *ret_bad = s;
                        return r;
                }

                s += 2;
        }

        out.p[out.n] = '\0';
        return 0;
}
