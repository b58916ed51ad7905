/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "probe/http.h"
#include "probe/http-piece.h"

static bool http_path_is_ambiguous_piece(const HttpPiece *piece) {
        if (piece->text.n == 0 && piece->end != HTTP_PIECE_LAST)
                return true; /* "/a/" is unambiguous, "/a//" is not */

        if (piece->n_name != SIZE_MAX || piece->n_query != SIZE_MAX || piece->n_line != SIZE_MAX)
                return true;

        return piece->is_odd || piece->is_unknown || piece->end == HTTP_PIECE_MAYBE_SLASH ||
               slice_equal(piece->text, SLICE_LITERAL(".")) || slice_equal(piece->text, SLICE_LITERAL(".."));
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
        int c = http_piece_decode(s);

        if (c < 0)
                return false;
        if (c == '%')
                return s.n < 5 || ascii_hex_value(s.p[3]) < 0 || ascii_hex_value(s.p[4]) < 0;

        return c == ' ' || (c >= 0x80 && !http_path_may_be_overlong((uint8_t) c));
}

/* @s is not empty. False if its first byte, with those after it, makes a path that is not plain. */
static bool http_path_begins_plain(Slice s) {
        if (s.p[0] == '/')
                return !http_path_begins_odd_segment(s);

        return s.p[0] == '%' && http_path_begins_plain_escape(s);
}

bool http_path_is_plain(Slice path) {
        /* One bit for each byte that needs a look: "%/;", the backslash, and those of http_path_may_be_overlong(). */
        static const uint32_t map[8] = { 0, 0x08008020, 0x10000000, 0, 0, 0, 0x00000003, 0x00010001 };

        for (size_t i = 0; i < path.n; i++)
                if (map[path.p[i] >> 5] >> (path.p[i] & 31) & 1 && !http_path_begins_plain(slice_skip(path, i)))
                        return false;

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
        int c;

        if (s->n == 0 || s->p[0] == '/')
                return -1;

        c = s->p[0] == '%' ? http_piece_decode(*s) : -1;
        *s = slice_skip(*s, c < 0 ? 1 : 3);
        return c < 0 ? s->p[-1] : c;
}

int http_path_compare_segments(Slice a, Slice b) {
        int x, y;

        do {
                x = http_path_next_byte(&a);
                y = http_path_next_byte(&b);
        } while (x == y && x >= 0);

        return x - y;
}

/* Returns the rank of the byte at @i for http_path_compare(). The end of the path and the end of a segment go first. */
static int http_path_rank(Slice s, size_t i) {
        return i == s.n ? -2 : s.p[i] == '/' ? -1 : s.p[i];
}

/* True if the byte at @i belongs to an escape. */
static bool http_path_is_in_escape(Slice s, size_t i) {
        for (size_t k = i; k + 2 >= i && k < s.n; k--)
                if (s.p[k] == '%')
                        return true;

        return false;
}

int http_path_compare(Slice a, Slice b) {
        size_t n = MIN(a.n, b.n), i = 0, start;
        int d = 0;

        while (i < n && a.p[i] == b.p[i])
                i++;

        if (http_path_is_in_escape(a, i) || http_path_is_in_escape(b, i)) {
                for (start = i; start > 0 && a.p[start - 1] != '/'; start--)
                        ;
                d = http_path_compare_segments(slice_skip(a, start), slice_skip(b, start));
        }

        return d != 0 ? d : http_path_rank(a, i) - http_path_rank(b, i);
}
