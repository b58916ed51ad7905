/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The sockets of AF_UNIX on which processes listen, by their paths. */

#include "basic/strlist.h"

/*
 * Lists the paths of all listening sockets of this network namespace, sorted, from /proc/net/unix below the directory
 * @root_fd, which stands for "/". Returns 0, or a negative errno: -ENOENT if there is no /proc.
 */
int listening_list(int root_fd, StringList *ret);

/* True if a process listens on the socket at @path. */
bool listening_has(const StringList *l, const char *path);
