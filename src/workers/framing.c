/* SPDX-License-Identifier: MIT-0 */

#include "workers/framing.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

/* Results of a line, or of a run of bytes. */
enum {
        STEP_ON = 0,
        STEP_END, /* the message has ended */
};

void framing_begin_request(Framing *f, size_t head_length, uint64_t length, bool is_chunked) {
        f->state = FRAMING_HEAD;
        f->status = 0;
        f->left = head_length;
        f->length = length;
        f->is_chunked = is_chunked;
}

static int framing_lose(Framing *f) {
        f->state = FRAMING_LOST;
        return -EBADMSG;
}

static int framing_end(Framing *f) {
        f->state = FRAMING_START;
        f->n_line = 0;
        return STEP_END;
}

static void framing_set_state(Framing *f, FramingState state) {
        f->state = (uint8_t) state;
        f->n_line = 0;
        f->last = 0;
}

/* Parses a number of the given base to the end of @s, or to a character of @ends. Returns false if there is none. */
static bool framing_parse_number(const char *s, unsigned base, const char *ends, uint64_t *ret) {
        uint64_t v = 0;
        size_t n = 0;

        for (; isxdigit((unsigned char) s[n]); n++) {
                unsigned digit = isdigit((unsigned char) s[n]) ? (unsigned) (s[n] - '0')
                                                               : (unsigned) (tolower(s[n]) - 'a' + 10);

                /* 15 digits of 4 bits each leave room above. */
                if (digit >= base || n == 15)
                        return false;
                v = v * base + digit;
        }

        *ret = v;
        return n > 0 && (strchr(ends, s[n]));
}

/* Returns the value of the field @name, or NULL if the line is another one. */
static const char *framing_value(const Framing *f, const char *name) {
        size_t n = strlen(name);
        const char *value;

        if (f->n_line <= n || f->line[n] != ':' || strncasecmp(f->line, name, n) != 0)
                return NULL;

        value = f->line + n + 1;
        return value + strspn(value, " \t");
}

/* "HTTP/1.1 200 OK". A response of HTTP/1.0 ends with the connection. 101 begins another protocol. */
static int framing_on_first_line(Framing *f) {
        uint64_t status;

        if (strncmp(f->line, "HTTP/1.1 ", 9) != 0 || !framing_parse_number(f->line + 9, 10, " ", &status) ||
            status < 100 || status > 999 || status == 101)
                return framing_lose(f);

        f->status = (uint16_t) status;
        f->has_length = f->is_chunked = false;
        f->left = 0;
        framing_set_state(f, FRAMING_FIELDS);
        return STEP_ON;
}

/*
 * A field of a response. With "Connection: close" the server closes it, and nothing is left to hand back. Two lengths, or
 * a length beside a coding, are an attack or a mistake (RFC 9112 section 6.3).
 */
static int framing_on_field(Framing *f) {
        const char *value;

        if (f->line[0] == ' ' || f->line[0] == '\t')
                return framing_lose(f);

        value = framing_value(f, "content-length");
        if (value) {
                if (f->has_length || f->is_chunked || !framing_parse_number(value, 10, " \t", &f->left))
                        return framing_lose(f);
                f->has_length = true;
        }

        value = framing_value(f, "transfer-encoding");
        if (value) {
                if (f->has_length || f->is_chunked || strcasecmp(value, "chunked") != 0)
                        return framing_lose(f);
                f->is_chunked = true;
        }

        value = framing_value(f, "connection");
        if (value && strcasestr(value, "close"))
                return framing_lose(f);

        framing_set_state(f, FRAMING_FIELDS);
        return STEP_ON;
}

/* Begins the body of a message whose head has ended. */
static int framing_begin_body(Framing *f) {
        if (f->is_chunked)
                framing_set_state(f, FRAMING_CHUNK_SIZE);
        else if (f->left > 0)
                framing_set_state(f, FRAMING_BODY);
        else
                return framing_end(f);

        return STEP_ON;
}

/* RFC 9112 section 6.3 says which responses have no body. One without a length ends with the connection. */
static int framing_on_response_head(Framing *f, bool is_head) {
        if (f->status < 200) {
                framing_set_state(f, FRAMING_START);
                return STEP_ON;
        }

        if (is_head || f->status == 204 || f->status == 304)
                return framing_end(f);
        if (!f->has_length && !f->is_chunked)
                return framing_lose(f);

        return framing_begin_body(f);
}

/* Extensions (RFC 9112 section 7.1.1) are hardly used. Servers have disagreed on their end. */
static int framing_on_chunk_size(Framing *f) {
        if (!framing_parse_number(f->line, 16, "", &f->left))
                return framing_lose(f);

        framing_set_state(f, f->left > 0 ? FRAMING_CHUNK_DATA : FRAMING_TRAILERS);
        return STEP_ON;
}

/* A whole line, which still has its CR unless it was cut. */
static int framing_on_line(Framing *f, bool is_head) {
        bool is_cut = f->n_line == FRAMING_LINE_MAX - 1;

        if (!is_cut)
                f->n_line--;
        f->line[f->n_line] = '\0';

        switch (f->state) {

        case FRAMING_FIRST_LINE:
                return framing_on_first_line(f);

        case FRAMING_FIELDS:
                if (f->n_line == 0)
                        return framing_on_response_head(f, is_head);
                if (is_cut && (framing_value(f, "content-length") || framing_value(f, "transfer-encoding") ||
                               framing_value(f, "connection")))
                        return framing_lose(f);
                return framing_on_field(f);

        case FRAMING_CHUNK_SIZE:
                return framing_on_chunk_size(f);

        case FRAMING_CHUNK_END:
                if (f->n_line > 0)
                        return framing_lose(f);
                framing_set_state(f, FRAMING_CHUNK_SIZE);
                return STEP_ON;

        case FRAMING_TRAILERS:
                if (f->n_line == 0)
                        return framing_end(f);
                framing_set_state(f, FRAMING_TRAILERS);
                return STEP_ON;

        default:
                return framing_lose(f);
        }
}

/* Adds bytes to the line, up to its end, which is CRLF. Returns STEP_… or an error. */
static int framing_feed_line(Framing *f, const uint8_t **p, size_t *n, bool is_head) {
        const uint8_t *end = memchr(*p, '\n', *n);
        size_t length = end ? (size_t) (end - *p) : *n, room = FRAMING_LINE_MAX - 1 - (size_t) f->n_line;
        size_t kept = length < room ? length : room;

        memcpy(f->line + f->n_line, *p, kept);
        f->n_line = (uint8_t) (f->n_line + kept);
        if (length > 0)
                f->last = (*p)[length - 1];

        *p += length + (end ? 1 : 0);
        *n -= length + (end ? 1 : 0);
        if (!end)
                return STEP_ON;
        if (f->last != '\r')
                return framing_lose(f);

        return framing_on_line(f, is_head);
}

/* The @left bytes of a part are over. */
static int framing_part_over(Framing *f) {
        switch (f->state) {

        case FRAMING_HEAD:
                f->left = f->length;
                return framing_begin_body(f);

        case FRAMING_CHUNK_DATA:
                framing_set_state(f, FRAMING_CHUNK_END);
                return STEP_ON;

        default:
                return framing_end(f);
        }
}

static bool framing_is_counting(const Framing *f) {
        return f->state == FRAMING_HEAD || f->state == FRAMING_BODY || f->state == FRAMING_CHUNK_DATA;
}

int framing_feed(Framing *f, const uint8_t **p, size_t *n, bool is_head) {
        while (*n > 0) {
                int r;

                if (f->state == FRAMING_LOST)
                        return -EBADMSG;
                if (f->state == FRAMING_START)
                        framing_set_state(f, FRAMING_FIRST_LINE);

                if (framing_is_counting(f)) {
                        size_t k = *n < f->left ? *n : (size_t) f->left;

                        *p += k;
                        *n -= k;
                        f->left -= k;
                        r = f->left > 0 ? STEP_ON : framing_part_over(f);
                } else
                        r = framing_feed_line(f, p, n, is_head);

                if (r < 0)
                        return r;
                if (r == STEP_END)
                        return FRAMING_END;
        }

        return FRAMING_MORE;
}

int framing_skip(Framing *f, size_t n) {
        if ((f->state != FRAMING_BODY && f->state != FRAMING_CHUNK_DATA) || n > f->left)
                return framing_lose(f);

        f->left -= n;
        if (f->left > 0)
                return FRAMING_MORE;

        return framing_part_over(f) == STEP_END ? FRAMING_END : FRAMING_MORE;
}

/* The shortest end of a chunked body, from the size of its last chunk on. */
#define FRAMING_LAST_CHUNK_SIZE (sizeof("0\r\n\r\n") - 1)

/* Bytes to the end of the line that was begun. */
static size_t framing_min_line(const Framing *f) {
        return f->last == '\r' ? 1 : 2;
}

size_t framing_min_left(const Framing *f) {
        uint64_t n;

        switch (f->state) {

        case FRAMING_HEAD:
                n = f->left + (f->is_chunked ? FRAMING_LAST_CHUNK_SIZE : f->length);
                break;

        case FRAMING_BODY:
                n = f->left;
                break;

        case FRAMING_CHUNK_DATA:
                n = f->left + 2 + FRAMING_LAST_CHUNK_SIZE;
                break;

        case FRAMING_CHUNK_END:
                n = framing_min_line(f) + FRAMING_LAST_CHUNK_SIZE;
                break;

        case FRAMING_CHUNK_SIZE:
                n = f->n_line == 0 ? FRAMING_LAST_CHUNK_SIZE : framing_min_line(f);
                break;

        case FRAMING_TRAILERS:
                n = framing_min_line(f);
                break;

        default:
                n = 0;
        }

        return n < SIZE_MAX ? (size_t) n : SIZE_MAX;
}
