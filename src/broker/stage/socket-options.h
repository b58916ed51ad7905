/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Makes a client's socket what accept(2) had returned, whatever a worker has set on it. Runs in the helper, because most of
 * these calls take the lock of the socket.
 */

#include <stdbool.h>

/*
 * Undoes what was set on @fd, a socket of TCP. Not for AF_UNIX, where MSG_ERRQUEUE reads the client's bytes.
 *
 * Compares with @listener_fd, from which accept(2) inherits the options; -EBADF: unknown, then only what has one right value
 * is set. @may_have_ulp: a TLS stage may have left the kernel's TLS on it. Returns 0, or a negative errno if something can't
 * be undone: then no other worker may have the client.
 */
int socket_options_restore(int fd, int listener_fd, bool may_have_ulp);
