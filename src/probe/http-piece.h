/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Cuts the path of a request at every byte at which some server cuts it.
 *
 * Servers agree on "/". Some also cut at "\" and at the escapes of both, and some decode escapes more than once. A
 * piece lies between two such places. The bytes of a piece are decoded until no escape is left. Each server decodes some
 * of them, all of them or none, so HttpPiece.text is the end of all these ways.
 */

#include "probe/slice.h"

/* Bytes of a piece that are decoded. Later ones are ignored. */
#define HTTP_PIECE_MAX 255

/* Bytes that are kept behind these while a piece is decoded. The longest that is decoded at once has 4. */
#define HTTP_PIECE_TAIL 8

typedef enum HttpPieceEnd {
        HTTP_PIECE_SLASH,       /* "/" follows: every server ends the segment here */
        HTTP_PIECE_MAYBE_SLASH, /* "\" or an escape follows: some servers end the segment here */
        HTTP_PIECE_LAST,        /* the path ends */
} HttpPieceEnd;

typedef struct HttpPiece {
        Slice raw;          /* as sent */
        Slice text;         /* decoded, without control characters; borrowed from the HttpPieces */
        size_t n_name;      /* bytes of @text before parameters, which begin with ';'; SIZE_MAX: no parameters */
        size_t n_query;     /* bytes of @text before '?' or '#', at which some servers end the path; SIZE_MAX: none */
        size_t n_line;      /* bytes of @text before a control character, at which others do; SIZE_MAX: none */
        HttpPieceEnd end;
        bool is_long;       /* @text is not complete, because it has more than HTTP_PIECE_MAX bytes */
        bool is_unknown;    /* @text says nothing, because servers do not agree on an invalid escape */
        bool is_odd;        /* has escapes of unreserved characters (RFC 3986 2.3) or of escapes, or overlong UTF-8 */
} HttpPiece;

typedef struct HttpPieces {
        Slice rest;         /* set to the path without its first '/' at the beginning */
        bool is_done;
        bool is_behind_invalid; /* an invalid escape is before @rest */
        uint8_t text[HTTP_PIECE_MAX + HTTP_PIECE_TAIL];
} HttpPieces;

/* Returns what the escape at the beginning of @s stands for ("%2f": '/'), or -1 if it is invalid. @s begins with '%'. */
int http_piece_decode(Slice s);

/* Takes the next piece. Returns false at the end. The @text of the piece before is invalid then. */
bool http_next_piece(HttpPieces *pieces, HttpPiece *ret);
