/* SPDX-License-Identifier: MIT-0 */

/*
 * A program that has bound its port for IPv4 and for IPv6 has two listeners, but there is one worker's socket. Servers
 * count on the family: nginx cuts off a client over IPv6 on its listener for IPv4, and may have other sites on the
 * one than on the other. So the worker's socket stands for the family that was bound first, and a socket of our own for
 * the other one. Who accepts a client that is not for its listener sends the connection there, unread: whichever
 * process of the program accepts it then does what it would have done with it otherwise, and the broker sees no
 * difference. See listener.c for which is which.
 */

#include "workers/preload/preload.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* Descriptors below are left to the program, which may count on the numbers that it gets. */
#define HIDDEN_FD_MIN 100

/* Returns an O_PATH descriptor of the socket's file, which then has no name any more; or a negative errno. */
static int bind_in(int fd, char *directory) {
        struct sockaddr_un un = { .sun_family = AF_UNIX };
        _cleanup_close_ int path_fd = -EBADF;
        int hidden_fd;

        if (!mkdtemp(directory))
                return -errno;

        (void) snprintf(un.sun_path, sizeof(un.sun_path), "%s/s", directory);
        if (real.bind(fd, (const struct sockaddr *) &un, sizeof(un)) == 0) {
                /* The server's processes may have other users. */
                (void) chmod(un.sun_path, 0666);
                path_fd = open(un.sun_path, O_PATH | O_CLOEXEC);
                (void) unlink(un.sun_path);
        }
        (void) rmdir(directory);

        if (path_fd < 0)
                return -EACCES;

        hidden_fd = fcntl(path_fd, F_DUPFD_CLOEXEC, HIDDEN_FD_MIN);
        return hidden_fd >= 0 ? hidden_fd : take_fd(&path_fd);
}

/*
 * Binds @fd to a name that only this process and its children can use: that of a descriptor. Others, who may use each name
 * that is seen in the network namespace, could fill the backlog. The descriptor stays open. Returns 0 or a negative errno.
 */
static int bind_hidden(int fd, struct sockaddr_un *ret, socklen_t *ret_length) {
        char directories[][24] = { "/tmp/fdpass-XXXXXX", "/dev/shm/fdpass-XXXXXX", "/run/fdpass-XXXXXX" };
        int path_fd = -EACCES;
        struct stat st;

        for (size_t i = 0; path_fd < 0 && i < sizeof(directories) / sizeof(directories[0]); i++)
                path_fd = bind_in(fd, directories[i]);
        if (path_fd < 0)
                return path_fd;

        *ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
        (void) snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%i", path_fd);
        *ret_length = sizeof(*ret);
        if (stat(ret->sun_path, &st) >= 0 && S_ISSOCK(st.st_mode))
                return 0;

        (void) close(path_fd);
        return -ENOENT; /* there is no /proc */
}

/* To a name of the kernel's choice, of no file (unix(7), "Autobind feature"). */
static int bind_abstract(int fd, struct sockaddr_un *ret, socklen_t *ret_length) {
        struct sockaddr_un un = { .sun_family = AF_UNIX };

        *ret_length = sizeof(*ret);
        if (real.bind(fd, (const struct sockaddr *) &un, sizeof(sa_family_t)) < 0 ||
            real.getsockname(fd, (struct sockaddr *) ret, ret_length) < 0)
                return -errno;

        return 0;
}

static int new_socket(void) {
        int fd = real.socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        return fd < 0 ? -errno : fd;
}

int other_open(struct sockaddr_un *ret, socklen_t *ret_length) {
        _cleanup_close_ int fd = new_socket();
        int r;

        if (fd < 0)
                return fd;

        r = bind_hidden(fd, ret, ret_length);
        if (r < 0) {
                /* A socket is bound once only. */
                close_at(&fd);
                fd = new_socket();
                r = fd < 0 ? fd : bind_abstract(fd, ret, ret_length);
        }
        if (r < 0)
                return r;

        return real.listen(fd, SOMAXCONN) < 0 ? -errno : take_fd(&fd);
}

static int send_connection(int fd, int conn_fd) {
        union {
                struct cmsghdr header; /* for its alignment */
                char buffer[CMSG_SPACE(sizeof(int))];
        } control = { .header = { .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET,
                                  .cmsg_type = SCM_RIGHTS } };
        struct iovec iov = { .iov_base = (char[]){ 0 }, .iov_len = 1 };
        struct msghdr message = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = control.buffer,
                .msg_controllen = CMSG_LEN(sizeof(int)),
        };

        memcpy(CMSG_DATA(&control.header), &conn_fd, sizeof(int));
        return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Returns -ECONNREFUSED where the program has closed it. */
static int try_send(int conn_fd, const Listener *l) {
        _cleanup_close_ int fd = real.socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (fd < 0 || real.connect(fd, (const struct sockaddr *) &l->other, l->other_length) < 0)
                return -errno;

        return send_connection(fd, conn_fd);
}

int other_send(int conn_fd, const Listener *l) {
        _cleanup_close_ int conn = conn_fd;
        int r;

        r = try_send(conn, l);
        if (r == -ECONNREFUSED) {
                (void) take_fd(&conn);
                return 0;
        }

        /* Too many wait there: another worker may have room. */
        if (r < 0)
                send_answer(conn, FDPASS_ANSWER_REFUSED);
        return 1;
}

/* An abstract name is no secret within the network namespace. Whether the broker is at the other end is asked later. */
int other_receive(int fd, int listener_fd) {
        struct ucred sender;
        socklen_t length = sizeof(sender);

        if (real.getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &sender, &length) < 0 ||
            (sender.uid != 0 && sender.uid != geteuid())) {
                (void) close(fd);
                return -EPERM;
        }

        return receive_connection(fd, listener_fd);
}
