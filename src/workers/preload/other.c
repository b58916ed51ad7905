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

int other_open(struct sockaddr_un *ret, socklen_t *ret_length) {
        struct sockaddr_un un = { .sun_family = AF_UNIX };
        _cleanup_close_ int fd = real.socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0)
                return -errno;

        /* A name of the kernel's choice, of no file (unix(7), "Autobind feature"). */
        *ret_length = sizeof(*ret);
        if (real.bind(fd, (const struct sockaddr *) &un, sizeof(sa_family_t)) < 0 || real.listen(fd, SOMAXCONN) < 0 ||
            real.getsockname(fd, (struct sockaddr *) ret, ret_length) < 0)
                return -errno;

        return take_fd(&fd);
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

/* The name is no secret within the network namespace. Whether the broker is at the other end is asked later. */
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
