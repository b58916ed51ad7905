/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Open connections of the public ports, wherever they are: in a backlog, in the broker or at a worker. The kernel counts
 * them by the port of our end (sock_diag(7)). Clients over AF_UNIX are not seen.
 */

#include "fdpassctl/socket-dump.h"
#include "fdpassctl/value.h"

/* States of connections that can be open, for socket_dump(). */
#define SOCKET_OPEN_STATES (SOCKET_STATES | 1U << SOCKET_SYN_RECV | 1U << SOCKET_NEW_SYN_RECV)

/* True for a connection that a process has or that waits in a backlog. False for TCP's rest of one that was closed. */
bool socket_is_open(const struct inet_diag_msg *m);

/* Returns the port at the end of an address such as "[::]:80", or 0. An address of AF_UNIX has none. */
uint16_t socket_port(const char *address);

/*
 * Adds the entry Open to each dictionary of the list @listeners whose entry Address has a port: the number of
 * connections to that port. Prints an error. Returns 0 or a negative errno.
 */
int socket_open_add(Value *listeners);
