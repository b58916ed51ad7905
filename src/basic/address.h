/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Socket addresses, for people and for connecting. */

#include <sys/socket.h>
#include <sys/un.h>

#include "basic/macro.h"

/* Room for "[IPv6%scope]:port" and for "unix:" with what a person can use of a path. */
#define ADDRESS_TEXT_MAX 128

/*
 * Writes @sa as "192.0.2.1:80", "[2001:db8::1]:80", "unix:/path", "unix:@abstract" or "unix" (an unnamed
 * peer). An IPv4 address inside IPv6 (::ffff:192.0.2.1, RFC 4291 2.5.5.2) is written as the IPv4 address
 * that it is.
 */
void address_to_text(const struct sockaddr *sa, socklen_t len, char ret[static ADDRESS_TEXT_MAX]);

/* The same for the peer of @fd; "unknown" where it has none any more. */
void address_of_peer(int fd, char ret[static ADDRESS_TEXT_MAX]);

/* Fills in the address of an absolute @path. -ENAMETOOLONG: it does not fit into sun_path with its NUL. */
int address_from_path(const char *path, struct sockaddr_un *ret, socklen_t *ret_len);
