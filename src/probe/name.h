/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The name of a host as routes compare it, wherever a client said it: in lower case, without port and
 * without the dot at the end.
 *
 * It is the one thing that a probe copies. The client's bytes can't be changed, and a name in a ClientHello
 * may lie in pieces in several records; a name has at most 255 bytes, so a fixed buffer in the facts does.
 */

#include "probe/slice.h"

#define PROBE_NAME_MAX 255

typedef struct ProbeName {
        uint8_t n;                      /* 0: none */
        char text[PROBE_NAME_MAX + 1];  /* with a NUL behind it */
} ProbeName;

/*
 * A registered name (RFC 3986 3.2.2), narrowed to what names hosts in the DNS and in certificates: labels
 * of letters, digits, '-' and '_', joined by single dots, with one more dot at the end or not. No %-escape,
 * no other alphabet, no list: servers do not agree on what those mean. @ret is undefined where it returns
 * false.
 */
bool probe_name_set(ProbeName *ret, Slice s);

/*
 * "name", "name:port", "[IPv6]" or "[IPv6]:port" (RFC 9110 7.2), with the port from 1 to 65535. An IPv6
 * literal is written in the one form of RFC 5952, in its brackets. *ret_port is 0 where there is none.
 */
bool probe_name_set_authority(ProbeName *ret, uint16_t *ret_port, Slice s);

static inline bool probe_name_equal(const ProbeName *a, const ProbeName *b) {
        return a->n == b->n && memcmp(a->text, b->text, a->n) == 0;
}
