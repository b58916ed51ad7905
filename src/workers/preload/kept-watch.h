/* SPDX-License-Identifier: MIT-0 */
#pragma once

/*
 * Kept connections and what the program does with its listener. A program that takes it out of epoll may add it again at
 * once, as nginx does after each 16th client. So it has stopped only when it waits without it.
 */

#include <sys/epoll.h>

/* To be called after epoll_ctl(2) has succeeded. */
void kept_watch_epoll(int epoll_fd, int op, int fd, const struct epoll_event *event);

/* To be called before the program waits by epoll_wait(2). */
void kept_watch_wait(int epoll_fd);

/* To be called before these descriptors are closed, or replaced by other files. */
void kept_watch_close(unsigned first, unsigned last);
