/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* File descriptors: closing them, their flags, and opening files below a root directory. */

#include <stdbool.h>
#include <stdio.h>

#include "basic/macro.h"

/* Closes @fd unless it is negative. Always returns -EBADF, for fd = fd_close(fd). Keeps errno. */
int fd_close(int fd);

static inline void fd_closep(int *fd) {
        fd_close(*fd);
}

#define _cleanup_close_ _cleanup_(fd_closep)

/*
 * Closes a socket that another process has had, and clears SO_LINGER before. Otherwise close(2) might wait for the peer
 * of the socket, because every process that has a socket can set this option (socket(7)). Returns -EBADF.
 */
int fd_close_socket(int fd);

static inline void fd_close_socketp(int *fd) {
        fd_close_socket(*fd);
}

#define _cleanup_close_socket_ _cleanup_(fd_close_socketp)

static inline void filep_close(FILE **f) {
        if (*f)
                fclose(*f);
}

#define _cleanup_fclose_ _cleanup_(filep_close)

/*
 * Sets or clears O_NONBLOCK of the open file description, which all duplicates of @fd share. Returns 0 or a negative
 * errno.
 */
int fd_nonblock(int fd, bool on);

/*
 * Opens @path as if the directory @root_fd were "/", so that absolute symbolic links stay below it (openat2(2),
 * RESOLVE_IN_ROOT, Linux 5.6). @flags are those of open(2); O_CLOEXEC is added. Returns an owned descriptor or a
 * negative errno.
 */
int fd_open_in_root(int root_fd, const char *path, int flags);

/* Reads up to the end of the file, at most @size bytes. Returns how many there were, or a negative errno. */
ssize_t fd_read(int fd, void *buffer, size_t size);

/* Returns an option of SOL_SOCKET that is a number of zero or more, such as SO_TYPE, or a negative errno. */
int fd_option(int fd, int option);

/* Connects to the socket of @type at the absolute @path of AF_UNIX. Returns an owned descriptor or a negative errno. */
int fd_connect_unix(const char *path, int type);
