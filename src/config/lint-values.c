/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>
#include <strings.h>

#include "basic/utf8.h"
#include "config/lint-checks.h"
#include "probe/slice.h"

/* Bytes of a field's value that are compared with a pattern (match-header.c). */
#define HEADER_VALUE_MAX 1023

/* Messages show at most this many bytes of a value. */
#define SHOWN_MAX 80

/* Writes the path as browsers send it and as a unit has it: letters outside of ASCII as %%XX, with capital letters. */
static bool lint_values_escape_path(const char *path, char *ret, size_t size) {
        size_t n = 0;
        bool differs = false;

        for (const char *p = path; *p && n + 5 < size; p++) {
                int high = p[0] == '%' ? ascii_hex_value((uint8_t) p[1]) : -1,
                    low = high >= 0 ? ascii_hex_value((uint8_t) p[2]) : -1;

                if (low >= 0) {
                        n += (size_t) snprintf(ret + n, size - n, "%%%%%X%X", (unsigned) high, (unsigned) low);
                        differs = differs || p[1] >= 'a' || p[2] >= 'a';
                        p += 2;
                } else if ((uint8_t) *p >= 0x80) {
                        n += (size_t) snprintf(ret + n, size - n, "%%%%%02X", (unsigned) (uint8_t) *p);
                        differs = true;
                } else
                        ret[n++] = *p;
        }

        ret[n] = '\0';
        return differs;
}

static void lint_values_check_path(const Lint *l, const Unit *unit, Assignment *a, const char *word) {
        const char *special = strpbrk(word, "*{}|^<>\"`");
        char escaped[256];
        size_t n;

        if (!special && endswith(word, "$"))
                special = word + strlen(word) - 1;

        if (special) {
                /* The segments before the one with the character. */
                for (n = (size_t) (special - word); n > 1 && word[n] != '/'; n--)
                        ;
                n = MAX(n, (size_t) 1);
                lint_warn(l, unit, a, "Path= is no pattern: the %s in %.80s stands for itself, and hardly any client "
                          "sends it. Write Path=%.*s, which takes everything below.",
                          *special == '*' ? "star" : "special character", word, (int) MIN(n, (size_t) SHOWN_MAX), word);
        } else if (strstr(word, ",/"))
                lint_warn(l, unit, a, "The comma in Path=%.80s is a part of the path; write a space between two paths.",
                          word);
        else if (lint_values_escape_path(word, escaped, sizeof(escaped)))
                lint_warn(l, unit, a, "Path=%.80s is compared byte by byte, and browsers send other bytes, so their "
                          "requests do not match; write Path=%.200s.", word, escaped);
}

/* Methods are case-sensitive (RFC 9110 9.1), and the probe refuses those with small letters. */
static void lint_values_check_method(const Lint *l, const Unit *unit, Assignment *a, const char *word) {
        for (const char *p = word; *p; p++)
                if (*p >= 'a' && *p <= 'z') {
                        lint_warn(l, unit, a,
                                  "Method=%.80s never matches; write it in upper case, because others are refused.",
                                  word);
                        return;
                }

        if (streq(word, "CONNECT") || streq(word, "TRACE"))
                lint_warn(l, unit, a, "Method=%s never matches, because requests with this method are refused (400); "
                          "remove it.", word);
        else if (streq(word, "*") || streq(word, "ANY") || streq(word, "ALL"))
                lint_warn(l, unit, a, "Method=%s takes only requests whose method is this word; remove the line to "
                          "take all methods.", word);
}

static void lint_values_check_alpn(const Lint *l, const Unit *unit, Assignment *a, const char *word) {
        if (strchr(word, ','))
                lint_warn(l, unit, a, "The comma in ALPN=%.80s is a part of the name; write a space between two names.",
                          word);
}

/* Bytes in hexadecimal digits need "\x" in front of each. */
static bool lint_values_escape_digits(const char *digits, char *ret, size_t size) {
        size_t n = strlen(digits);

        if (n < 2 || n % 2 != 0 || n * 2 + 1 > size)
                return false;

        for (size_t i = 0; i < n; i += 2) {
                if (ascii_hex_value((uint8_t) digits[i]) < 0 || ascii_hex_value((uint8_t) digits[i + 1]) < 0)
                        return false;
                (void) snprintf(ret + 2 * i, 5, "\\x%.2s", digits + i);
        }

        return true;
}

static void lint_values_check_prefix(const Lint *l, const Unit *unit, Assignment *a, const char *word) {
        const char *digits = startswith(word, "0x");
        char escaped[128];

        if (digits && lint_values_escape_digits(digits, escaped, sizeof(escaped)))
                lint_warn(l, unit, a, "Prefix=%.60s takes clients that send these letters and digits; for the bytes "
                          "write Prefix=%s.", word, escaped);
        else if (word[0] == '"' || word[0] == '\'')
                lint_warn(l, unit, a, "The quotation marks in Prefix=%.60s are bytes that the client has to send; "
                          "write it without them, and \\s for a space.", word);
}

/* Fields that only responses have (RFC 9110, RFC 9111, RFC 6265, and the Fetch standard). */
static bool lint_values_is_of_response(const char *name) {
        static const char *const names[] = {
                "Accept-Ranges", "Access-Control-Allow-Origin", "Age", "Allow", "ETag", "Last-Modified", "Location",
                "Proxy-Authenticate", "Retry-After", "Server", "Set-Cookie", "Strict-Transport-Security", "Vary",
                "WWW-Authenticate",
        };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (strcasecmp(name, names[i]) == 0)
                        return true;

        return false;
}

/* Writes the name of the field that CGI calls HTTP_SOME_NAME (RFC 3875 4.1.18). */
static void lint_values_field_of_variable(const char *variable, char *ret, size_t size) {
        size_t n = 0;

        for (const char *p = variable; *p && n + 1 < size; p++, n++)
                ret[n] = *p == '_' ? '-' : n > 0 && p[-1] != '_' ? (char) ascii_lower((uint8_t) *p) : *p;
        ret[n] = '\0';
}

static void lint_values_check_header_name(const Lint *l, const Unit *unit, Assignment *a, const char *name) {
        const char *variable = startswith(name, "HTTP_");
        char field[64];

        if (variable) {
                lint_values_field_of_variable(variable, field, sizeof(field));
                lint_warn(l, unit, a, "%.60s is the name of a variable, and no client sends such a field; write "
                          "Header=%s: and the pattern.", name, field);
        } else if (lint_values_is_of_response(name))
                lint_warn(l, unit, a, "%.60s is a field of responses, and clients do not send it, so the line matches "
                          "none; remove it.", name);
        else if (strcasecmp(name, "Host") == 0)
                lint_warn(l, unit, a, "Header=Host: compares the text with its case and port; use Host=, which "
                          "compares the name.");
}

/* Returns how many bytes a value has at least that the pattern matches. */
static size_t lint_values_glob_length(const char *glob) {
        size_t n = 0;

        for (const char *p = glob; *p; p++)
                n += *p != '*';

        return strpbrk(glob, "[\\") ? 0 : n;
}

static void lint_values_check_header_glob(const Lint *l, const Unit *unit, Assignment *a, const char *glob) {
        size_t n = strlen(glob);

        if (n == 0)
                lint_warn(l, unit, a,
                          "Header=%.80s matches only a field with an empty value; write \"*\" after it for any value.",
                          a->value);
        else if (n > 1 && glob[0] == '"' && glob[n - 1] == '"')
                lint_warn(l, unit, a, "The quotation marks in Header=%.80s belong to the value that a client has to "
                          "send; write the value without them.", a->value);
        else if (glob[0] == '^' || glob[n - 1] == '$')
                lint_warn(l, unit, a, "The value of Header=%.80s is a pattern with \"*\" and \"?\", so \"^\" and \"$\" "
                          "stand for themselves; remove them.", a->value);
        else if (lint_values_glob_length(glob) > HEADER_VALUE_MAX)
                lint_warn(l, unit, a, "This pattern is longer than the %u bytes of a value that are compared, so it "
                          "never matches; make it shorter, with a \"*\".", HEADER_VALUE_MAX);
}

static void lint_values_check_header(const Lint *l, const Unit *unit, Assignment *a) {
        char value[VALUE_SIZE], *colon;

        if (!lint_expand(l, unit, a, value))
                return;

        colon = strchr(value, ':');
        if (!colon)
                return;

        *colon = '\0';
        lint_values_check_header_name(l, unit, a, value);
        lint_values_check_header_glob(l, unit, a, colon + 1 + strspn(colon + 1, WHITESPACE));
}

void lint_values(const Lint *l, const Unit *unit, const RouteConfig *route) {
        Assignment *a;
        size_t i = 0;

        if (route->match.paths)
                lint_words(l, unit, "Path", lint_values_check_path);
        if (route->match.methods)
                lint_words(l, unit, "Method", lint_values_check_method);
        if (route->match.alpns)
                lint_words(l, unit, "ALPN", lint_values_check_alpn);
        if (route->match.n_prefixes > 0)
                lint_words(l, unit, "Prefix", lint_values_check_prefix);
        if (route->match.n_sources > 0)
                lint_words(l, unit, "Source", lint_source);
        while (route->match.n_headers > 0 && (a = lint_next(unit, SECTION_FDPASS, "Header", &i)))
                lint_values_check_header(l, unit, a);
}
