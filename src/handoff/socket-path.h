/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The way to a socket in the file system. The broker has rights of its own, so it follows no symbolic link: a user who may
 * write to a directory on the way could have it connect to sockets that this user may not connect to.
 */

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "basic/macro.h"

/* The identity of a file, whatever name it has. */
typedef struct FileId {
        dev_t device;
        ino_t inode;
} FileId;

static inline bool file_id_equal(FileId a, FileId b) {
        return a.device == b.device && a.inode == b.inode;
}

typedef struct SocketPath {
        int fd;          /* the socket's file, by O_PATH; owned */
        FileId id;       /* of that */
        size_t n_shared; /* length of the path of the first directory on the way that others can write to; 0: none */
} SocketPath;

static inline bool socket_path_is_private(const SocketPath *p) {
        return p->n_shared == 0;
}

/*
 * Walks from the directory @root_fd, which stands for "/", to the socket at the absolute @path. "Others" are all users but
 * root and @owner. Returns 0; -ELOOP if a part of the path is a symbolic link; -ENOTSOCK; or another negative errno.
 * SocketPath.n_shared is valid as far as the walk came, also on failure.
 */
int socket_path_walk(int root_fd, const char *path, uid_t owner, SocketPath *ret);

/* The same from "/", with the caller's user as owner. */
int socket_path_open(const char *path, SocketPath *ret);

/* The address by which to connect to just the file that @path_fd (O_PATH) is: a link in /proc. Returns its length. */
socklen_t socket_path_address(int path_fd, struct sockaddr_un *ret);

/* The file to which the socket @fd is bound. Returns 0, or -ENOENT where there is none. */
int socket_path_of_bound(int fd, FileId *ret);
