/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* File descriptors: owning them, their flags, and opening files below a root directory. */

#include <stdbool.h>
#include <stdio.h>

#include "basic/macro.h"

/* Closes @fd if it is one. Always returns -EBADF: fd = fd_close(fd). Keeps errno. */
int fd_close(int fd);

static inline void fd_closep(int *fd) {
        fd_close(*fd);
}

#define _cleanup_close_ _cleanup_(fd_closep)

/*
 * The same for a socket that somebody else has had: with SO_LINGER, which whoever has it may set, the last close()
 * of it would wait for its peer (socket(7)).
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

/* Sets or clears O_NONBLOCK of the open file description (which every duplicate shares). */
int fd_nonblock(int fd, bool on);

/*
 * Opens @path as if the directory @root_fd were "/": absolute symbolic links stay below it too
 * (openat2(2), RESOLVE_IN_ROOT, Linux 5.6; not needed where @root_fd is "/"). O_CLOEXEC is implied. Returns an owned fd or a negative errno.
 */
int fd_open_in_root(int root_fd, const char *path, int flags);
