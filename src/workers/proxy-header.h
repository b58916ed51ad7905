/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The header of the PROXY protocol, which a backend gets before all other bytes. */

#include "handoff/protocol.h"
#include "libfdpass/fdpass.h"

typedef enum ProxyHeader {
        PROXY_HEADER_V1, /* a line of text: addresses only */
        PROXY_HEADER_V2, /* binary: addresses and the facts from the broker */
        PROXY_HEADER_NONE,
        _PROXY_HEADER_MAX,
} ProxyHeader;

/*
 * Writes the header for a client to @ret, which has room for FDPASS_HEADER_MAX bytes. If @info is NULL, the header has
 * the addresses of the socket. Returns 0 or a negative errno.
 */
int proxy_header_write(ProxyHeader kind, int client_fd, const struct fdpass *info, uint8_t *ret, size_t *ret_n);

/* Returns the port that the client connected to, or 0 if it has none (AF_UNIX). */
unsigned client_port(int client_fd, const struct fdpass *info);
