/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The process of the helper: its start and its end. Called by the loop. */

#include "helper/shared.h"

/*
 * Starts a process that works with @s. Returns an owned pidfd, which is readable when it has ended, or a negative
 * errno.
 */
int process_start(Shared *s);

/* Releases a process that has ended (waitid(2)). @pid_fd is consumed. Returns -EBADF. */
int process_reap(int pid_fd);

/* Kills a process and waits up to 100 ms for its end. @pid_fd is consumed; negative: does nothing. Returns -EBADF. */
int process_kill(int pid_fd);
