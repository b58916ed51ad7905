/* SPDX-License-Identifier: MIT-0 */
#pragma once

/*
 * Follows the framing of HTTP/1 messages in one direction of a connection (RFC 9112 section 6): where a message begins
 * and where it ends. It copies at most the beginning of the current line.
 *
 * A message that it does not understand is lost, for good: nothing may then be concluded from the bytes behind it. It is
 * stricter than servers and clients are, because a wrong end would mix two requests.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of a line that are kept. Longer fields are followed too, but not those that frame a message. */
#define FRAMING_LINE_MAX 80

typedef enum FramingState {
        FRAMING_START,      /* between two messages */
        FRAMING_HEAD,       /* requests only: @left bytes of a head that was parsed already */
        FRAMING_FIRST_LINE, /* responses only, as FRAMING_FIELDS */
        FRAMING_FIELDS,
        FRAMING_BODY,       /* @left bytes of it */
        FRAMING_CHUNK_SIZE,
        FRAMING_CHUNK_DATA, /* @left bytes of it */
        FRAMING_CHUNK_END,
        FRAMING_TRAILERS,
        FRAMING_LOST,
} FramingState;

typedef struct Framing {
        uint8_t state;      /* FramingState */
        uint8_t n_line;     /* bytes in @line */
        uint8_t last;       /* the last byte of the line so far */
        uint16_t status;    /* of the response; 0 for a request */
        bool has_length;
        bool is_chunked;
        uint64_t left;      /* bytes of the head or body that are to come */
        uint64_t length;    /* bytes of the body; with FRAMING_HEAD only */
        char line[FRAMING_LINE_MAX];
} Framing;

/* Results of framing_feed(). */
enum {
        FRAMING_MORE = 0, /* all bytes belong to the message, which goes on */
        FRAMING_END,      /* the message ended; *p and *n are what is behind it */
};

/*
 * Begins a request whose head of @head_length bytes was parsed. @length is Content-Length, or 0. @is_chunked: its
 * Transfer-Encoding is "chunked".
 */
void framing_begin_request(Framing *f, size_t head_length, uint64_t length, bool is_chunked);

/*
 * Follows *n bytes at *p, up to the end of a message. @is_head: the response is one to HEAD, which has no body. Returns
 * FRAMING_MORE, FRAMING_END, or -EBADMSG: the message can't be followed.
 */
int framing_feed(Framing *f, const uint8_t **p, size_t *n, bool is_head);

/* The same for @n bytes that are not in memory: sendfile(2). They are followed inside of a body only. */
int framing_skip(Framing *f, size_t n);

/* Returns a number of bytes that are certainly to come before the message ends: 1 or more. 0: it is not known. */
size_t framing_min_left(const Framing *f);
