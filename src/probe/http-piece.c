/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "probe/http-piece.h"

/* The use of a byte of a piece. */
typedef enum HttpPieceByte {
        HTTP_PIECE_BYTE_TAKEN,
        HTTP_PIECE_BYTE_SLASH, /* it ends the piece */
} HttpPieceByte;

typedef struct HttpPieceState {
        HttpPiece *piece;
        uint8_t *text;
        size_t n;          /* bytes in @text */
        bool is_layered;   /* an escape was made of decoded bytes */
        unsigned n_controls;
} HttpPieceState;

int http_piece_decode(Slice s) {
        int high = s.n >= 3 ? ascii_hex_value(s.p[1]) : -1, low = s.n >= 3 ? ascii_hex_value(s.p[2]) : -1;

        return high < 0 || low < 0 ? -1 : high << 4 | low;
}

/* Returns the byte that the escape at the end of the text stands for, or -1 if there is none. */
static int http_piece_escape(const HttpPieceState *s) {
        Slice end = { s->text + s->n - MIN(s->n, (size_t) 3), MIN(s->n, (size_t) 3) };

        return end.n == 3 && end.p[0] == '%' ? http_piece_decode(end) : -1;
}

/*
 * Returns the length of an overlong form of an ASCII character at the end of the text (RFC 3629 3), or 0 if there is
 * none. Old decoders accept these: "%c0%af" is "/" to them.
 */
static size_t http_piece_overlong(const HttpPieceState *s) {
        const uint8_t *end = s->text + s->n;

        if (s->n < 2 || (end[-1] & 0xc0) != 0x80)
                return 0;
        if (end[-2] == 0xc0 || end[-2] == 0xc1)
                return 2;
        if ((end[-2] & 0xfe) != 0x80)
                return 0;
        if (s->n >= 3 && end[-3] == 0xe0)
                return 3;

        return s->n >= 4 && end[-3] == 0x80 && end[-4] == 0xf0 ? 4 : 0;
}

static bool http_piece_is_unreserved(int c) {
        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
               c == '_' || c == '~';
}

/* Takes a byte that is not a separator. */
static void http_piece_append(HttpPieceState *s, uint8_t c) {
        HttpPiece *piece = s->piece;

        if (!byte_is_text(c)) {
                piece->n_line = MIN(piece->n_line, s->n);
                s->n_controls++;
                return;
        }

        if (c == '?' || c == '#')
                piece->n_query = MIN(piece->n_query, s->n);
        if (c == ';')
                piece->n_name = MIN(piece->n_name, s->n);

        /* The last bytes are kept, because they may be the beginning of an escape. */
        if (s->n == HTTP_PIECE_MAX + HTTP_PIECE_TAIL) {
                memmove(s->text + HTTP_PIECE_MAX, s->text + HTTP_PIECE_MAX + 1, HTTP_PIECE_TAIL - 1);
                piece->is_long = true;
                s->n--;
        }

        s->text[s->n++] = c;
}

/*
 * Takes a byte, and decodes what it completes, which is the escape of an escape or an overlong character. @is_escape:
 * the byte was sent as an escape.
 */
static HttpPieceByte http_piece_take(HttpPieceState *s, uint8_t c, bool is_escape) {
        for (;;) {
                size_t overlong;
                int decoded;

                if (c == '\\' || (c == '/' && is_escape))
                        return HTTP_PIECE_BYTE_SLASH;

                http_piece_append(s, c);

                overlong = http_piece_overlong(s);
                decoded = http_piece_escape(s);
                if (overlong > 0)
                        decoded = (s->text[s->n - 2] & 1) << 6 | (s->text[s->n - 1] & 0x3f);
                if (decoded < 0)
                        return HTTP_PIECE_BYTE_TAKEN;

                s->piece->is_odd = s->is_layered = is_escape = true;
                s->n -= overlong > 0 ? overlong : 3;
                c = (uint8_t) decoded;
        }
}

/* Takes bytes up to the end of the piece, and returns their number. Sets HttpPiece.end, and *ret_skip to its length. */
static size_t http_piece_scan(HttpPieceState *s, Slice rest, size_t *ret_skip) {
        HttpPiece *piece = s->piece;

        for (size_t i = 0; i < rest.n; i += *ret_skip) {
                bool is_escape = rest.p[i] == '%';
                int c = is_escape ? http_piece_decode(slice_skip(rest, i)) : rest.p[i];

                *ret_skip = is_escape && c >= 0 ? 3 : 1;
                piece->is_unknown = piece->is_unknown || c < 0;
                piece->is_odd = piece->is_odd || (is_escape && http_piece_is_unreserved(c));
                piece->end = c == '/' && !is_escape ? HTTP_PIECE_SLASH : HTTP_PIECE_MAYBE_SLASH;

                if (c < 0 || piece->end == HTTP_PIECE_SLASH)
                        return i;
                if (http_piece_take(s, (uint8_t) c, is_escape) == HTTP_PIECE_BYTE_SLASH)
                        return i;
        }

        piece->end = HTTP_PIECE_LAST;
        *ret_skip = 0;
        return rest.n;
}

bool http_next_piece(HttpPieces *pieces, HttpPiece *ret) {
        HttpPieceState s = { .piece = ret, .text = pieces->text };
        size_t n, skip = 0;
        bool is_invalid;

        if (pieces->is_done)
                return false;

        *ret = (HttpPiece){ .n_name = SIZE_MAX, .n_query = SIZE_MAX, .n_line = SIZE_MAX };
        n = http_piece_scan(&s, pieces->rest, &skip);

        /* An invalid escape is the end of one piece, and makes that and the next one unknown. */
        is_invalid = ret->is_unknown;
        ret->is_long = ret->is_long || s.n > HTTP_PIECE_MAX;
        ret->is_unknown = is_invalid || pieces->is_behind_invalid || s.n_controls > 1 || (ret->is_long && s.is_layered);
        ret->raw = slice_head(pieces->rest, n);
        ret->text = (Slice){ s.text, s.n };

        pieces->rest = slice_skip(pieces->rest, n + skip);
        pieces->is_done = ret->end == HTTP_PIECE_LAST;
        pieces->is_behind_invalid = is_invalid;
        return true;
}
