/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* fdpass_accept() in parts, for fdpass_receive(). */

#include <stdbool.h>

#include "libfdpass/fdpass.h"

/*
 * Does the work of fdpass_accept(), with flags that are checked already. @caller_reads: the caller of the library gets
 * the facts about the client, so that its consumed bytes are not lost.
 *
 * With @ret_conn_fd, a connection that may become persistent is passed to the caller of this function: *ret_conn_fd is
 * an owned fd, and the sender has no answer yet. Otherwise *ret_conn_fd stays as it was.
 */
int accept_client(int fd, int flags, bool caller_reads, struct fdpass **ret, int *ret_conn_fd);

/* Checks the flags of fdpass_accept(). Returns 0 or -EINVAL. */
int accept_check_flags(int flags, struct fdpass **ret);

/*
 * Sets O_NONBLOCK and FD_CLOEXEC of @client_fd as @flags say, and clears its other flags, whatever the sender left on the socket. Returns 0 or
 * -errno.
 */
int accept_set_flags(int client_fd, int flags);
