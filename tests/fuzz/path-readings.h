/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Small steps of which the treatment of paths by servers consists. A server, or a chain of them, does several, in an
 * order of its own. This shares no code with src/match, so that a test can compare the two.
 */

#include "probe/slice.h"

typedef enum PathStep {
        PATH_DECODE,            /* every escape, once: nginx, Python, PHP */
        PATH_DECODE_UNRESERVED, /* RFC 3986 6.2.2.2: Go, HAProxy's normalize-uri */
        PATH_DECODE_NOT_SLASH,  /* Apache httpd with AllowEncodedSlashes=NoDecode */
        PATH_DECODE_OVERLONG,   /* old decoders of UTF-8 */
        PATH_BACKSLASH,         /* "\" is "/": IIS, parsers of the URL standard */
        PATH_MERGE_SLASHES,
        PATH_RESOLVE,           /* "." and ".." */
        PATH_STRIP_PARAMETERS,  /* of each segment: servlets */
        PATH_CUT_PARAMETERS,    /* with all that follows */
        PATH_CUT_QUERY,         /* at '?' or '#', where a path is parsed again */
        PATH_CUT_CONTROL,       /* at NUL, CR, LF: strings of C, lines */
        PATH_DROP_CONTROL,      /* parsers of the URL standard */
        PATH_AUTHORITY,         /* "//name/path" is "/path" of the host "name" */
        _PATH_STEP_MAX,
} PathStep;

static inline int path_escape(const uint8_t *p, size_t n) {
        int high = n >= 3 && p[0] == '%' ? ascii_hex_value(p[1]) : -1, low = n >= 3 ? ascii_hex_value(p[2]) : -1;

        return high < 0 || low < 0 ? -1 : high << 4 | low;
}

static inline bool path_step_decodes(PathStep step, int c) {
        if (c < 0)
                return false;
        if (step == PATH_DECODE_NOT_SLASH)
                return c != '/';

        if (step == PATH_DECODE || (c >= '0' && c <= '9'))
                return true;

        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || memchr("-._~", c, 4);
}

static inline size_t path_decode(PathStep step, uint8_t *p, size_t n) {
        size_t k = 0;

        for (size_t i = 0; i < n; i++) {
                int c = path_escape(p + i, n - i);

                if (path_step_decodes(step, c))
                        i += 2;
                p[k++] = path_step_decodes(step, c) ? (uint8_t) c : p[i];
        }

        return k;
}

static inline size_t path_decode_overlong(uint8_t *p, size_t n) {
        size_t k = 0;

        for (size_t i = 0; i < n; i++)
                if (i + 1 < n && (p[i] & 0xfe) == 0xc0 && (p[i + 1] & 0xc0) == 0x80) {
                        p[k++] = (uint8_t) ((p[i] & 1) << 6 | (p[i + 1] & 0x3f));
                        i++;
                } else if (i + 2 < n && p[i] == 0xe0 && (p[i + 1] & 0xfe) == 0x80 && (p[i + 2] & 0xc0) == 0x80) {
                        p[k++] = (uint8_t) ((p[i + 1] & 1) << 6 | (p[i + 2] & 0x3f));
                        i += 2;
                } else
                        p[k++] = p[i];

        return k;
}

static inline size_t path_merge_slashes(uint8_t *p, size_t n) {
        size_t k = 0;

        for (size_t i = 0; i < n; i++)
                if (p[i] != '/' || k == 0 || p[k - 1] != '/')
                        p[k++] = p[i];

        return k;
}

/* RFC 3986 5.2.4. */
static inline size_t path_resolve(uint8_t *p, size_t n) {
        size_t k = 0;

        for (size_t i = 0; i < n;) {
                size_t end = i + 1;

                while (end < n && p[end] != '/')
                        end++;

                if (end - i == 2 && p[i + 1] == '.') {
                        if (end == n)
                                p[k++] = '/';
                } else if (end - i == 3 && p[i + 1] == '.' && p[i + 2] == '.') {
                        while (k > 0 && p[--k] != '/')
                                ;
                        if (end == n)
                                p[k++] = '/';
                } else {
                        memmove(p + k, p + i, end - i);
                        k += end - i;
                }

                i = end;
        }

        if (k == 0)
                p[k++] = '/';
        return k;
}

static inline size_t path_strip_parameters(uint8_t *p, size_t n) {
        bool is_parameter = false;
        size_t k = 0;

        for (size_t i = 0; i < n; i++) {
                is_parameter = p[i] == ';' || (is_parameter && p[i] != '/');
                if (!is_parameter)
                        p[k++] = p[i];
        }

        return k;
}

static inline size_t path_cut(const uint8_t *p, size_t n, PathStep step) {
        size_t i = 0;

        while (i < n && !(step == PATH_CUT_PARAMETERS ? p[i] == ';' :
                          step == PATH_CUT_QUERY      ? p[i] == '?' || p[i] == '#' :
                                                        p[i] < 0x20 || p[i] == 0x7f))
                i++;

        return i;
}

static inline size_t path_drop_control(uint8_t *p, size_t n) {
        size_t k = 0;

        for (size_t i = 0; i < n; i++)
                if (p[i] >= 0x20 && p[i] != 0x7f)
                        p[k++] = p[i];

        return k;
}

static inline size_t path_skip_authority(uint8_t *p, size_t n) {
        size_t i = 0;

        while (i < n && p[i] == '/')
                i++;
        if (i < 2 || i == n)
                return n;

        while (i < n && p[i] != '/')
                i++;
        if (i == n)
                p[--i] = '/';

        memmove(p, p + i, n - i);
        return n - i;
}

/* Changes the path at @p, which has @n bytes, and returns its new length. @n is at least 1, and p[0] is '/'. */
static inline size_t path_step(PathStep step, uint8_t *p, size_t n) {
        switch (step) {

        case PATH_DECODE_OVERLONG:
                return path_decode_overlong(p, n);

        case PATH_BACKSLASH:
                for (size_t i = 0; i < n; i++)
                        p[i] = p[i] == '\\' ? '/' : p[i];
                return n;

        case PATH_MERGE_SLASHES:
                return path_merge_slashes(p, n);

        case PATH_RESOLVE:
                return path_resolve(p, n);

        case PATH_STRIP_PARAMETERS:
                return path_strip_parameters(p, n);

        case PATH_CUT_PARAMETERS:
        case PATH_CUT_QUERY:
        case PATH_CUT_CONTROL:
                return path_cut(p, n, step);

        case PATH_DROP_CONTROL:
                return path_drop_control(p, n);

        case PATH_AUTHORITY:
                return path_skip_authority(p, n);

        case PATH_DECODE:
        case PATH_DECODE_UNRESERVED:
        case PATH_DECODE_NOT_SLASH:
        case _PATH_STEP_MAX:
        default:
                return path_decode(step, p, n);
        }
}
