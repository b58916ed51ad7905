/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "handoff/socket-path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "basic/fd.h"

/* POSIX access lists count as well, because their mask is the group's part of the mode (acl(5)). */
static bool socket_path_others_may_write(const struct stat *st, uid_t owner) {
        return (st->st_uid != 0 && st->st_uid != owner) || (st->st_mode & (S_IWGRP | S_IWOTH)) != 0;
}

/* Checks the directory @fd, whose path ends before @part. */
static int socket_path_check_directory(int fd, const char *path, const char *part, uid_t owner, SocketPath *ret) {
        struct stat st;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (S_ISLNK(st.st_mode))
                return -ELOOP;
        if (!S_ISDIR(st.st_mode))
                return -ENOTDIR;

        if (ret->n_shared == 0 && socket_path_others_may_write(&st, owner))
                ret->n_shared = (size_t) (part - path);
        return 0;
}

static int socket_path_check_socket(int fd, SocketPath *ret) {
        struct stat st;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (S_ISLNK(st.st_mode))
                return -ELOOP;
        if (!S_ISSOCK(st.st_mode))
                return -ENOTSOCK;

        ret->id = (FileId){ st.st_dev, st.st_ino };
        return 0;
}

/* With O_PATH and O_NOFOLLOW, a symbolic link is opened itself, and fstat(2) tells so (open(2)). */
static int socket_path_open_part(int fd, const char *part, size_t n) {
        char name[NAME_MAX + 1];
        int r;

        if (n >= sizeof(name))
                return -ENAMETOOLONG;

        memcpy(name, part, n);
        name[n] = 0;
        r = openat(fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        return r < 0 ? -errno : r;
}

/* Walks part by part, because RestrictSUIDSGID= forbids openat2(2), which could do it at once. */
int socket_path_walk(int root_fd, const char *path, uid_t owner, SocketPath *ret) {
        _cleanup_close_ int fd = -EBADF;
        int r;

        *ret = (SocketPath){ .fd = -EBADF };

        for (const char *part = path + strspn(path, "/"); *part;) {
                size_t n = strcspn(part, "/");
                int next;

                r = socket_path_check_directory(fd < 0 ? root_fd : fd, path, part, owner, ret);
                if (r < 0)
                        return r;

                next = socket_path_open_part(fd < 0 ? root_fd : fd, part, n);
                if (next < 0)
                        return next;

                fd_close(fd);
                fd = next;
                part += n + strspn(part + n, "/");
        }

        r = socket_path_check_socket(fd < 0 ? root_fd : fd, ret);
        if (r < 0)
                return r;

        ret->fd = TAKE_FD(fd);
        return 0;
}

int socket_path_open(const char *path, SocketPath *ret) {
        _cleanup_close_ int root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

        *ret = (SocketPath){ .fd = -EBADF };
        return root_fd < 0 ? -errno : socket_path_walk(root_fd, path, geteuid(), ret);
}

socklen_t socket_path_address(int path_fd, struct sockaddr_un *ret) {
        *ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
        return (socklen_t) (offsetof(struct sockaddr_un, sun_path) + 1 +
                            (size_t) snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%i", path_fd));
}

int socket_path_of_bound(int fd, FileId *ret) {
        struct sockaddr_un sun = {};
        socklen_t len = sizeof(sun) - 1; /* keeps a NUL behind a path that fills sun_path (unix(7), "BUGS") */
        struct stat st;

        if (getsockname(fd, (struct sockaddr *) &sun, &len) < 0 || sun.sun_family != AF_UNIX)
                return -ENOENT;
        if (sun.sun_path[0] != '/' || stat(sun.sun_path, &st) < 0)
                return -ENOENT;

        *ret = (FileId){ st.st_dev, st.st_ino };
        return 0;
}
