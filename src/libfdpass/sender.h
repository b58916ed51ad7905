/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "libfdpass/listener.h"

/*
 * Checks whether this worker may take clients from the sender at the other end of @fd, a connection or a listening
 * socket. Returns 0, -EPERM, or the negative errno of getsockopt(2). *ret_uid is the sender's user with 0 and with
 * -EPERM, as SO_PEERCRED has it; (uid_t) -1 if the kernel does not tell.
 *
 * Root and the worker's own user may always send. For other users the mode of the file decides that @fd is bound to,
 * because connect(2) needs write permission on it (unix(7), "Pathname socket ownership and permissions"):
 *
 *   not writable by all users    the kernel let only the intended users connect
 *   writable by all users        only the file's owner may send
 *   no file, or out of sight     no other user may send: an abstract address, a removed file, RootDirectory=
 *
 * In a user namespace (PrivateUsers=yes) all users that it doesn't map, the broker's included, look like 65534
 * (user_namespaces(7), "Unmapped user and group IDs"). This number proves nothing, so the file's mode alone decides.
 *
 * With @listener, that of a connection, a file that is not writable by all users is looked at once in SENDER_FILE_USEC. A
 * change of its mode has an effect after that time.
 */
int sender_check(int fd, Listener *listener, uid_t *ret_uid);

#define SENDER_FILE_USEC (1 * USEC_PER_SEC)
