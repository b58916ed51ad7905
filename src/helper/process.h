/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Starts a helper on some shared memory, and ends it. */

#include "helper/shared.h"

/* Returns an owned pidfd, which becomes readable when the helper has ended, or a negative errno. */
int process_start(Shared *s);

/* Releases what is left of a helper that has ended. @pid_fd is consumed. Returns -EBADF. */
int process_reap(int pid_fd);

/* Kills a helper and waits up to 100 ms for its end. @pid_fd is consumed. Returns -EBADF. */
int process_kill(int pid_fd);
