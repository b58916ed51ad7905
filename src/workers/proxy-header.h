/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The PROXY protocol, as the backend gets it before anything else. */

#include "libfdpass/fdpass.h"
#include "handoff/protocol.h"

typedef enum ProxyHeader {
        PROXY_HEADER_NONE,
        PROXY_HEADER_V1, /* one line: addresses only */
        PROXY_HEADER_V2, /* binary: and all that the broker has told */
        _PROXY_HEADER_MAX,
} ProxyHeader;

/* "v1", "v2", "no"; or -EINVAL. */
int proxy_header_from_string(const char *s);

/*
 * Writes what is to be told of the client to @ret, with room for FDPASS_HEADER_MAX bytes. @told may be NULL: then the
 * socket's own addresses are all that is known.
 */
int proxy_header_write(ProxyHeader kind, int client_fd, const struct fdpass *told, uint8_t *ret, size_t *ret_n);

/* The port that the client connected to, 0 where it has none (AF_UNIX). */
unsigned client_port(int client_fd, const struct fdpass *told);
