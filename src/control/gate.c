/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "control/gate.h"

/* The fixed part of a message's header, with the length of its fields behind it. */
#define HEADER_SIZE 16
#define VERSION 1

static uint32_t read_u32(const uint8_t *p, bool big_endian) {
        return big_endian ? (uint32_t) p[0] << 24 | (uint32_t) p[1] << 16 | (uint32_t) p[2] << 8 | p[3]
                          : (uint32_t) p[3] << 24 | (uint32_t) p[2] << 16 | (uint32_t) p[1] << 8 | p[0];
}

static int next_message(const uint8_t *p, size_t n, size_t *ret) {
        uint32_t n_body, n_fields;
        size_t size;
        bool big;

        if (n == 0)
                return 0;
        if (p[0] != 'l' && p[0] != 'B')
                return -EBADMSG;
        if (n < HEADER_SIZE)
                return 0;

        big = p[0] == 'B';
        n_body = read_u32(p + 4, big);
        n_fields = read_u32(p + 12, big);
        if (p[3] != VERSION || n_body > GATE_MESSAGE_MAX || n_fields > GATE_MESSAGE_MAX)
                return -EBADMSG;

        /* The body begins at a multiple of 8. */
        size = HEADER_SIZE + ((n_fields + 7U) & ~7U) + n_body;
        if (size > GATE_MESSAGE_MAX)
                return -EBADMSG;

        if (n >= size)
                *ret = size;
        return 0;
}

/* Where the first line ends, behind its \r\n; 0 where it does not. */
static size_t line_end(const uint8_t *p, size_t n) {
        const uint8_t *end = memmem(p, n, "\r\n", 2);

        return end ? (size_t) (end - p) + 2 : 0;
}

/* The handshake: a NUL, then lines, up to BEGIN. */
static int next_lines(Gate *g, const uint8_t *p, size_t n, size_t *ret) {
        size_t k = 0, end;

        if (g->n_auth == 0 && n > 0) {
                if (p[0] != 0)
                        return -EBADMSG;
                k = 1;
        }

        while (!g->authenticated && (end = line_end(p + k, n - k)) > 0) {
                g->authenticated = end == 7 && memcmp(p + k, "BEGIN", 5) == 0;
                k += end;
        }

        if (g->n_auth + (g->authenticated ? k : n) > GATE_AUTH_MAX)
                return -EBADMSG;

        g->n_auth += k;
        *ret = k;
        return 0;
}

int gate_next(Gate *g, const uint8_t *p, size_t n, size_t *ret) {
        *ret = 0;
        return g->authenticated ? next_message(p, n, ret) : next_lines(g, p, n, ret);
}
