/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Access to the control socket. */

#include "basic/macro.h"

/*
 * Returns whether the peer of @fd, a connection of the listening socket @listener_fd, may use it. Reads no byte of the
 * connection, because the kernel closes descriptors among these bytes inside of recv(2), and that may wait.
 */
bool access_is_allowed(int listener_fd, int fd);
