/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/text.h"

#include <inttypes.h>
#include <wchar.h>

#include "basic/output.h"
#include "basic/time.h"
#include "basic/utf8.h"

char *text_escape(const char *s) {
        char *copy = malloc(strlen(s) * 4 + 1), *p = copy;

        if (!copy)
                return NULL;

        while (*s) {
                size_t n = utf8_printable(s);

                if (n == 0 || *s == '\\')
                        p = output_escape(p, (uint8_t) *s);
                else
                        p = (char *) mempcpy(p, s, n);
                s += MAX(n, (size_t) 1);
        }

        *p = '\0';
        return copy;
}

/* Returns the length of the character at @s in bytes, and its columns in @ret_columns. */
static size_t text_character(const char *s, size_t *ret_columns) {
        uint32_t c = 0;
        size_t n = utf8_character(s, &c);
        int columns = n > 0 ? wcwidth((wchar_t) c) : -1;

        /* -1: the locale does not know the character. Most terminals show one column then. */
        *ret_columns = columns < 0 ? 1 : (size_t) columns;
        return MAX(n, (size_t) 1);
}

size_t text_width(const char *s) {
        size_t columns, sum = 0;

        for (; *s; s += text_character(s, &columns), sum += columns)
                ;

        return sum;
}

size_t text_fit(const char *s, size_t columns, size_t *ret_used) {
        size_t n = 0;

        *ret_used = 0;
        while (s[n]) {
                size_t width, k = text_character(s + n, &width);

                if (*ret_used + width > columns)
                        break;
                *ret_used += width;
                n += k;
        }

        return n;
}

const char *text_fit_end(const char *s, size_t columns) {
        size_t left = text_width(s), width, k;

        while (left > columns) {
                s += text_character(s, &width);
                left -= width;
        }

        /* A combining character would change the mark that the caller prints in front. */
        while (*s && (k = text_character(s, &width), width == 0))
                s += k;

        return s;
}

void text_print_cut(FILE *f, const char *s, size_t max) {
        size_t used;

        if (max == 0 || text_width(s) <= max)
                fputs(s, f);
        else
                fprintf(f, "%.*s…", (int) text_fit(s, max - 1, &used), s);
}

void text_print(FILE *f, const char *s) {
        _cleanup_free_ char *escaped = text_escape(s);

        fputs(escaped ?: "?", f);
}

void text_print_lines(FILE *f, const char *s) {
        for (size_t k; *s; s += k + (s[k] == '\n')) {
                _cleanup_free_ char *line = strndup(s, k = strcspn(s, "\n"));

                text_print(f, line ?: "?");
                fputc('\n', f);
        }
}

const char *text_from_span(char ret[static 32], uint64_t usec) {
        uint64_t s = usec / USEC_PER_SEC;

        if (usec < USEC_PER_MSEC)
                (void) snprintf(ret, 32, "%" PRIu64 "µs", usec);
        else if (s < 1)
                (void) snprintf(ret, 32, "%" PRIu64 "ms", usec / USEC_PER_MSEC);
        else if (s < 60)
                (void) snprintf(ret, 32, "%" PRIu64 ".%" PRIu64 "s", s, usec % USEC_PER_SEC / 100000);
        else if (s < 3600)
                (void) snprintf(ret, 32, "%" PRIu64 "min %" PRIu64 "s", s / 60, s % 60);
        else if (s < 86400)
                (void) snprintf(ret, 32, "%" PRIu64 "h %" PRIu64 "min", s / 3600, s / 60 % 60);
        else
                (void) snprintf(ret, 32, "%" PRIu64 "d %" PRIu64 "h", s / 86400, s / 3600 % 24);

        return ret;
}

const char *text_from_bytes(char ret[static 32], uint64_t n) {
        static const char units[] = "KMGTPE";
        size_t i = 0;

        if (n < 1024) {
                (void) snprintf(ret, 32, "%uB", (unsigned) n);
                return ret;
        }

        for (; n >= 1024 * 1024; i++)
                n /= 1024;

        (void) snprintf(ret, 32, "%u.%u%c", (unsigned) (n / 1024), (unsigned) (n % 1024 * 10 / 1024), units[i]);
        return ret;
}
