/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "probe/http.h"

/* Unreserved characters (RFC 3986 2.3). Some servers treat their escapes as equal to them, others do not. */
static bool http_path_is_unreserved(int c) {
        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
               c == '.' || c == '_' || c == '~';
}

/* @s begins after the '%' of an escape. */
static bool http_path_is_ambiguous_escape(Slice s) {
        int high = s.n >= 2 ? ascii_hex_value(s.p[0]) : -1, low = s.n >= 2 ? ascii_hex_value(s.p[1]) : -1, c;

        if (high < 0 || low < 0)
                return true;

        c = high << 4 | low;
        return c < 0x20 || c == 0x7f || c == '/' || c == '\\' || http_path_is_unreserved(c);
}

static bool http_path_is_ambiguous_segment(Slice segment, bool is_last) {
        if (segment.n == 0)
                return !is_last; /* "/a/" is unambiguous, "/a//" is not */

        if (slice_equal(segment, SLICE_LITERAL(".")) || slice_equal(segment, SLICE_LITERAL("..")))
                return true;

        for (size_t i = 0; i < segment.n; i++) {
                if (segment.p[i] == '\\' || segment.p[i] == ';')
                        return true;
                if (segment.p[i] == '%' && http_path_is_ambiguous_escape(slice_skip(segment, i + 1)))
                        return true;
        }

        return false;
}

bool http_path_is_ambiguous(Slice path) {
        while (path.n > 0) {
                Slice segment = slice_skip(path, 1); /* without the leading '/' */
                const uint8_t *slash = segment.n > 0 ? memchr(segment.p, '/', segment.n) : NULL;

                if (slash)
                        segment.n = (size_t) (slash - segment.p);
                if (http_path_is_ambiguous_segment(segment, !slash))
                        return true;

                path = slice_skip(path, 1 + segment.n);
        }

        return false;
}

bool http_path_has_prefix(Slice path, Slice prefix) {
        if (path.n == 0)
                path = SLICE_LITERAL("/");

        if (prefix.n == 0 || !slice_has_prefix(path, prefix))
                return false;

        return path.n == prefix.n || prefix.p[prefix.n - 1] == '/' || path.p[prefix.n] == '/';
}
