/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The path of a socket in the file system, without following symbolic links. The broker has more rights than other
 * users. With links, a user that may write to a directory of the path could make it connect to other sockets.
 */

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "basic/macro.h"

/* Identity of a file, independent of its names. */
typedef struct FileId {
        dev_t device;
        ino_t inode;
} FileId;

static inline bool file_id_equal(FileId a, FileId b) {
        return a.device == b.device && a.inode == b.inode;
}

typedef struct SocketPath {
        int fd;          /* the socket's file, opened with O_PATH; owned. -EBADF: none */
        FileId id;       /* identity of that file */
        size_t n_shared; /* bytes of the path to the first directory that others can write to; 0: none */
} SocketPath;

static inline bool socket_path_is_private(const SocketPath *p) {
        return p->n_shared == 0;
}

/*
 * Walks from the directory @root_fd, which stands for "/", to the socket at the absolute @path. "Others" are all users
 * except root and @owner. Returns 0; -ELOOP if a part of the path is a symbolic link; -ENOTSOCK if its end is another
 * kind of file; or another negative errno of openat(2). SocketPath.n_shared is valid as far as the walk came, also
 * after an error.
 */
int socket_path_walk(int root_fd, const char *path, uid_t owner, SocketPath *ret);

/* Does the same from "/", with the caller's user as owner. */
int socket_path_open(const char *path, SocketPath *ret);

/*
 * Fills in the address by which to connect to the file of @path_fd (O_PATH): a link in /proc. Returns its length in
 * bytes.
 */
socklen_t socket_path_address(int path_fd, struct sockaddr_un *ret);

/* Finds the file that the socket @fd is bound to. Returns 0, or -ENOENT if there is none. */
int socket_path_of_bound(int fd, FileId *ret);
