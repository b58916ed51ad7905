/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Socket addresses as text, and from paths. */

#include <sys/socket.h>
#include <sys/un.h>

#include "basic/macro.h"

/* Bytes that address_to_text() writes at most. A longer path of AF_UNIX is cut. */
#define ADDRESS_TEXT_MAX 128

/*
 * Writes @sa, of @len bytes, as "192.0.2.1:80", "[2001:db8::1]:80", "unix:/path", "unix:@abstract", "unix" (a socket
 * without a name) or "unknown". An IPv4 address inside IPv6 (::ffff:192.0.2.1, RFC 4291 2.5.5.2) is written as an IPv4
 * address.
 */
void address_to_text(const struct sockaddr *sa, socklen_t len, char ret[static ADDRESS_TEXT_MAX]);

/* Does the same without the port of an IP address: "192.0.2.1", "2001:db8::1". */
void address_to_host(const struct sockaddr *sa, socklen_t len, char ret[static ADDRESS_TEXT_MAX]);

/* Writes the address of the peer of @fd in the same way; "unknown" if the peer is gone (getpeername(2)). */
void address_of_peer(int fd, char ret[static ADDRESS_TEXT_MAX]);

/*
 * Fills in the address of the absolute @path. Returns 0, or -ENAMETOOLONG if it does not fit into sun_path with its
 * NUL.
 */
int address_from_path(const char *path, struct sockaddr_un *ret, socklen_t *ret_len);
