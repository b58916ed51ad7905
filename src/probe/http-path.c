/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "probe/http.h"
#include "probe/http-piece.h"

static bool http_path_is_ambiguous_piece(const HttpPiece *piece) {
        if (piece->text.n == 0 && piece->end != HTTP_PIECE_LAST)
                return true; /* "/a/" is unambiguous, "/a//" is not */

        return piece->is_odd || piece->is_unknown || piece->end == HTTP_PIECE_MAYBE_SLASH || piece->n_name != SIZE_MAX ||
               piece->n_query != SIZE_MAX || piece->n_line != SIZE_MAX || slice_equal(piece->text, SLICE_LITERAL(".")) ||
               slice_equal(piece->text, SLICE_LITERAL(".."));
}

bool http_path_is_ambiguous(Slice path) {
        HttpPieces pieces = { .rest = slice_skip(path, MIN(path.n, (size_t) 1)) };
        HttpPiece piece;

        while (http_next_piece(&pieces, &piece))
                if (http_path_is_ambiguous_piece(&piece))
                        return true;

        return false;
}

/* True for the first byte of a character of UTF-8 that may have a shorter form (RFC 3629 3). */
static bool http_path_may_be_overlong(uint8_t c) {
        return c == 0xc0 || c == 0xc1 || c == 0xe0 || c == 0xf0;
}

/* @s begins with a slash. True if an empty segment, "." or ".." follows, and not the end. */
static bool http_path_begins_odd_segment(Slice s) {
        size_t n = 1;

        if (s.n > 1 && s.p[1] == '/')
                return true;

        while (n < s.n && n < 3 && s.p[n] == '.')
                n++;

        return n > 1 && (n == s.n || s.p[n] == '/');
}

/* @s begins with "%". True for an escape of a byte that no target has without one, and that ends nothing. */
static bool http_path_begins_plain_escape(Slice s) {
        int high = s.n >= 3 ? ascii_hex_value(s.p[1]) : -1, low = s.n >= 3 ? ascii_hex_value(s.p[2]) : -1, c = high << 4 | low;

        if (high < 0 || low < 0)
                return false;
        if (c == '%')
                return s.n < 5 || ascii_hex_value(s.p[3]) < 0 || ascii_hex_value(s.p[4]) < 0;

        return c == ' ' || (c >= 0x80 && !http_path_may_be_overlong((uint8_t) c));
}

bool http_path_is_plain(Slice path) {
        for (size_t i = 0; i < path.n; i++) {
                uint8_t c = path.p[i];

                if (c == '/' ? http_path_begins_odd_segment(slice_skip(path, i)) :
                    c == '%' ? !http_path_begins_plain_escape(slice_skip(path, i)) :
                               c == ';' || c == '\\' || http_path_may_be_overlong(c))
                        return false;
        }

        return true;
}

bool http_path_has_prefix(Slice path, Slice prefix) {
        if (path.n == 0)
                path = SLICE_LITERAL("/");

        if (prefix.n == 0 || !slice_has_prefix(path, prefix))
                return false;

        return path.n == prefix.n || prefix.p[prefix.n - 1] == '/' || path.p[prefix.n] == '/';
}

/* Removes one byte of a segment from @s, or what an escape stands for. Returns -1 at the end of the segment. */
static int http_path_next_byte(Slice *s) {
        int high, low;

        if (s->n == 0 || s->p[0] == '/')
                return -1;

        high = s->p[0] == '%' && s->n >= 3 ? ascii_hex_value(s->p[1]) : -1;
        low = high >= 0 ? ascii_hex_value(s->p[2]) : -1;
        if (low < 0) {
                *s = slice_skip(*s, 1);
                return s->p[-1];
        }

        *s = slice_skip(*s, 3);
        return high << 4 | low;
}

int http_path_compare_segments(Slice a, Slice b) {
        int x, y;

        do {
                x = http_path_next_byte(&a);
                y = http_path_next_byte(&b);
        } while (x == y && x >= 0);

        return x - y;
}

int http_path_compare(Slice a, Slice b) {
        size_t n = MIN(a.n, b.n), i = 0, start;
        int d;

        while (i < n && a.p[i] == b.p[i])
                i++;
        if (i == a.n && i == b.n)
                return 0;

        for (start = i; start > 0 && a.p[start - 1] != '/'; start--)
                ;

        d = http_path_compare_segments(slice_skip(a, start), slice_skip(b, start));
        if (d != 0)
                return d;

        /* The segments are equal when decoded, or one path ends where the other has a slash. */
        if (i == a.n || i == b.n)
                return i == a.n ? -1 : 1;
        if (a.p[i] == '/' || b.p[i] == '/')
                return a.p[i] == '/' ? -1 : 1;
        return a.p[i] - b.p[i];
}
