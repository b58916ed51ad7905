/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* May the broker connect to the workers' sockets of this system, and does a process listen on them? */

#include "config/config.h"

/*
 * Prints warnings. Needs no rights: files that the caller may not see are left out. @root_fd is the directory "/".
 * Returns 0 or a negative errno.
 */
int verify_access(int root_fd, const Config *config);
