/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/output.h"

#include <unistd.h>

#include "basic/utf8.h"

/* Bytes at the end of a write of the stream that may begin a character or a sequence. The next write decides. */
#define TAIL_MAX 16

typedef struct Output {
        int fd;
        size_t n_tail;
        char tail[TAIL_MAX];
} Output;

static struct {
        const char *const *sequences;
        size_t n;
} passed;

void output_pass(const char *const *sequences, size_t n) {
        passed.sequences = sequences;
        passed.n = n;
}

/* Returns the length of the sequence at @s that may pass; 0: there is none. */
static size_t output_sequence(const char *s) {
        for (size_t i = 0; i < passed.n; i++) {
                size_t n = strlen(passed.sequences[i]);

                if (strncmp(s, passed.sequences[i], n) == 0)
                        return n;
        }

        return 0;
}

/* Returns whether the @n bytes at @s may begin a character or a sequence that the next write completes. */
static bool output_is_beginning(const char *s, size_t n) {
        uint8_t lead = (uint8_t) *s;
        size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc2 ? 2 : 1;

        for (size_t i = 0; i < passed.n; i++)
                if (n < strlen(passed.sequences[i]) && memcmp(s, passed.sequences[i], n) == 0)
                        return true;

        for (size_t i = 1; i < n; i++)
                if (((uint8_t) s[i] & 0xc0) != 0x80)
                        return false;

        return n < length;
}

char *output_escape(char *to, uint8_t byte) {
        static const char hex[] = "0123456789abcdef";

        *to++ = '\\';
        *to++ = 'x';
        *to++ = hex[byte >> 4];
        *to++ = hex[byte & 15];
        return to;
}

/* Converts the @n bytes at @from, which end with a NUL, and writes them to @to. Returns the end of the output. */
static char *output_convert(Output *o, const char *from, size_t n, char *to) {
        for (const char *end = from + n; from < end;) {
                size_t k = *from == '\n' || *from == '\t' ? 1 : utf8_printable(from);

                if (k == 0)
                        k = output_sequence(from);

                if (k > 0) {
                        to = (char *) mempcpy(to, from, k);
                        from += k;
                } else if ((size_t) (end - from) < TAIL_MAX && output_is_beginning(from, (size_t) (end - from))) {
                        o->n_tail = (size_t) (end - from);
                        memcpy(o->tail, from, o->n_tail);
                        break;
                } else
                        to = output_escape(to, (uint8_t) *from++);
        }

        return to;
}

static bool output_write_all(int fd, const char *p, size_t n) {
        while (n > 0) {
                ssize_t k = write(fd, p, n);

                if (k < 0 && errno != EINTR)
                        return false;
                if (k > 0) {
                        p += k;
                        n -= (size_t) k;
                }
        }

        return true;
}

/* Returns 0 for an error (fopencookie(3)). */
static ssize_t output_on_write(void *cookie, const char *p, size_t n) {
        Output *o = cookie;
        size_t n_all = o->n_tail + n;
        _cleanup_free_ char *from = malloc(n_all + 1), *to = malloc(n_all * 4 + 1);

        if (!from || !to)
                return 0;

        memcpy(from, o->tail, o->n_tail);
        memcpy(from + o->n_tail, p, n);
        from[n_all] = '\0';

        o->n_tail = 0;
        return output_write_all(o->fd, to, (size_t) (output_convert(o, from, n_all, to) - to)) ? (ssize_t) n : 0;
}

static int output_on_close(void *cookie) {
        return close(((Output *) cookie)->fd);
}

static int output_replace(FILE **stream, Output *o, int mode) {
        const cookie_io_functions_t functions = { .write = output_on_write, .close = output_on_close };
        FILE *f = fopencookie(o, "w", functions);

        if (!f)
                return -ENOMEM;

        (void) setvbuf(f, NULL, mode, BUFSIZ);
        *stream = f;
        return 0;
}

int output_guard(void) {
        static Output out = { .fd = STDOUT_FILENO }, err = { .fd = STDERR_FILENO };
        int r;

        r = output_replace(&stdout, &out, isatty(STDOUT_FILENO) ? _IOLBF : _IOFBF);

        return r < 0 ? r : output_replace(&stderr, &err, _IOLBF);
}

void output_text(FILE *f, const char *s) {
        char escaped[4];

        while (*s) {
                size_t n = utf8_printable(s);

                if (n > 0)
                        (void) fwrite(s, 1, n, f);
                else
                        (void) fwrite(escaped, 1, (size_t) (output_escape(escaped, (uint8_t) *s) - escaped), f);
                s += MAX(n, (size_t) 1);
        }
}
