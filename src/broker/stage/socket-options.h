/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Restores a client's socket to the state in which accept(2) returned it, whatever a worker has set on it. Runs in the
 * helper, because most of these calls take the lock of the socket.
 */

#include <stdbool.h>

/*
 * Restores @fd, a TCP socket. @fd must not be AF_UNIX, because MSG_ERRQUEUE reads the client's bytes there.
 *
 * @listener_fd: listener from which accept(2) inherits options; -EBADF: not known. Then only options with one right
 * value are set.
 * @may_have_ulp: TCP_ULP stays, because a TLS stage may have left the kernel's TLS on @fd.
 *
 * Returns 0, or a negative errno if something can't be restored. Then no other worker may get the client.
 */
int socket_options_restore(int fd, int listener_fd, bool may_have_ulp);
