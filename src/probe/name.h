/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The name of a host in the form that routes compare: in lower case, without the port and without the dot at the end.
 *
 * Names are the only bytes that a probe copies. The bytes of the client can't be changed to lower case, and a name in a
 * ClientHello may be split among several records. A name has at most 255 bytes, so the facts have a buffer for it.
 */

#include "probe/slice.h"

#define PROBE_NAME_MAX 255

typedef struct ProbeName {
        uint8_t n;                     /* length in bytes; 0: no name */
        char text[PROBE_NAME_MAX + 1]; /* name, with a NUL after it */
} ProbeName;

/*
 * Parses a registered name (RFC 3986 3.2.2) of the kind that the DNS and certificates have. Its labels have letters,
 * digits, '-' and '_', and single dots join them. There may be a dot at the end. Refuses escapes, other characters and
 * lists, because servers interpret them differently. Returns false for anything else; @ret is undefined then.
 */
bool probe_name_set(ProbeName *ret, Slice s);

/*
 * Parses "name", "name:port", "[IPv6]" or "[IPv6]:port" (RFC 9110 7.2), with a port from 1 to 65535, or with an empty
 * one (RFC 3986 3.2.3). Writes an IPv6 address in brackets, in the form of RFC 5952. *ret_port is 0 if there is no port.
 * Returns false for anything else.
 */
bool probe_name_set_authority(ProbeName *ret, uint16_t *ret_port, Slice s);

static inline bool probe_name_equal(const ProbeName *a, const ProbeName *b) {
        return a->n == b->n && memcmp(a->text, b->text, a->n) == 0;
}
