/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/libconfig-token.h"

#include <errno.h>
#include <strings.h>

#include "probe/slice.h"

int libconfig_fail(LibconfigReader *r, const char *what) {
        *r->error = (LibconfigError){ r->line, what };
        return LIBCONFIG_BAD;
}

/* Skips one comment. Returns false if there is none. */
static bool libconfig_skip_comment(LibconfigReader *r) {
        if (*r->p == '#' || startswith(r->p, "//")) {
                r->p += strcspn(r->p, "\n");
                return true;
        }
        if (!startswith(r->p, "/*"))
                return false;

        for (r->p += 2; *r->p && !startswith(r->p, "*/"); r->p++)
                r->line += *r->p == '\n';
        r->p += *r->p ? 2 : 0;
        return true;
}

void libconfig_skip(LibconfigReader *r) {
        for (;;) {
                while (*r->p && strchr(" \t\r\n\f", *r->p)) {
                        r->line += *r->p == '\n';
                        r->p++;
                }
                if (!libconfig_skip_comment(r))
                        return;
        }
}

bool libconfig_take(LibconfigReader *r, char c) {
        libconfig_skip(r);
        if (*r->p != c)
                return false;

        r->p++;
        return true;
}

/* Takes the character behind a backslash. Returns it, or -1 if it is no escape. */
static int libconfig_take_escape(LibconfigReader *r) {
        static const char from[] = "\\\"nrtfbav", to[] = "\\\"\n\r\t\f\b\a\v";
        const char *found = *r->p ? strchr(from, *r->p) : NULL;
        int high, low;

        if (found) {
                r->p++;
                return to[found - from];
        }

        if (*r->p != 'x')
                return -1;

        high = ascii_hex_value((uint8_t) r->p[1]);
        low = high < 0 ? -1 : ascii_hex_value((uint8_t) r->p[2]);
        if (low < 0 || high * 16 + low == 0)
                return -1;

        r->p += 3;
        return high * 16 + low;
}

/* Takes one string, the quotes included, and appends it to @to, which has room for it. Returns the end of it. */
static int libconfig_take_quoted(LibconfigReader *r, char **to) {
        for (r->p++; *r->p != '"'; ) {
                int c = (unsigned char) *r->p++;

                if (c == '\0' || c == '\n') {
                        r->p--;
                        return libconfig_fail(r, "A string does not end.");
                }
                if (c == '\\') {
                        c = libconfig_take_escape(r);
                        if (c < 0)
                                return libconfig_fail(r, "A backslash in a string begins no escape.");
                }
                *(*to)++ = (char) c;
        }

        r->p++;
        return 0;
}

/* Strings in a row are one. */
int libconfig_take_string(LibconfigReader *r, LibconfigValue *v) {
        char *to;
        int k = 0;

        v->type = LIBCONFIG_STRING;
        v->text = to = malloc((size_t) (r->end - r->p) + 1);
        if (!v->text)
                return -ENOMEM;

        while (k == 0 && *r->p == '"') {
                k = libconfig_take_quoted(r, &to);
                libconfig_skip(r);
        }
        *to = '\0';
        if (k == 0)
                v->text = realloc(v->text, (size_t) (to - v->text) + 1);
        return v->text ? k : -ENOMEM;
}

bool libconfig_is_word(char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("-_*+.", c));
}

static int libconfig_take_number(LibconfigReader *r, LibconfigValue *v, const char *begin, size_t n) {
        char text[32], *end;

        v->type = LIBCONFIG_NUMBER;
        if (n >= sizeof(text))
                return libconfig_fail(r, "A number is too long.");

        memcpy(text, begin, n);
        text[n] = '\0';
        errno = 0;
        v->number = strtoll(text, &end, startswith(text, "0x") || startswith(text, "0X") ? 16 : 10);
        if (*end == 'L')
                end += end[1] == 'L' ? 2 : 1;
        if (errno != 0 || *end || end == text)
                return libconfig_fail(r, "A value is neither a number, a boolean, a string, a list nor a group.");

        return 0;
}

/* Takes a number or a boolean. */
int libconfig_take_word(LibconfigReader *r, LibconfigValue *v) {
        const char *begin = r->p;
        size_t n;

        while (libconfig_is_word(*r->p))
                r->p++;
        n = (size_t) (r->p - begin);
        if ((n == 4 && strncasecmp(begin, "true", n) == 0) || (n == 5 && strncasecmp(begin, "false", n) == 0)) {
                v->type = LIBCONFIG_BOOL;
                v->number = n == 4;
                return 0;
        }

        return libconfig_take_number(r, v, begin, n);
}
