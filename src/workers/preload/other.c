/* SPDX-License-Identifier: MIT-0 */

/*
 * A program that has bound its port for IPv4 and for IPv6 has two listeners, but there is one worker's socket. Servers
 * count on the family: nginx cuts off a client over IPv6 on its listener for IPv4, and may have other sites on the
 * one than on the other. So the worker's socket stands for the family that was bound first. The program's listener for
 * the other family is one end of a pair, and the preload keeps the other end. A process that accepts a client that is
 * not for its listener sends the connection there, unread. The process of the program that accepts it then does what
 * it would have done with it otherwise, and the broker sees no difference. See listener.c for which is which.
 *
 * It is a pair and no listening socket, because that needs bind(2), listen(2) and connect(2). By these a
 * client's socket leads into the host's network, and the service's SystemCallFilter= has to be able to forbid them.
 */

#include "workers/preload/preload.h"

#include <fcntl.h>
#include <poll.h>

/* Our end gets such a number, out of the way of programs that put files at low ones. */
#define SENDER_FD_MIN 256

/* Pause of an accept() that can bring nothing any more, because poll() reports such a listener readable for ever. */
#define LOST_MS 100

static int move_up(int fd) {
        int up = fcntl(fd, F_DUPFD_CLOEXEC, SENDER_FD_MIN);

        if (up < 0)
                return fd;

        (void) close(fd);
        return up;
}

int other_open(int *ret_sender) {
        int fds[2];

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
                return -errno;

        *ret_sender = move_up(fds[1]);
        return fds[0];
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

int other_send(int conn_fd, const Listener *l) {
        _cleanup_close_ int conn = conn_fd;
        int r = -EBADF;

        if (socket_cookie(l->other_fd) == l->other_cookie)
                r = send_connection(l->other_fd, conn);

        /* No process of the program has the listener any more, or this one has closed our end. */
        if (r == -EPIPE || r == -ECONNRESET || r == -EBADF) {
                (void) take_fd(&conn);
                return 0;
        }

        /* Too many wait there: another worker may have room. */
        if (r < 0)
                send_answer(conn, FDPASS_ANSWER_REFUSED);
        return 1;
}

int other_receive(int fd) {
        /* Without room for it, the kernel would throw the connection away. */
        int conn_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0), r;

        if (conn_fd < 0)
                return -errno;
        (void) close(conn_fd);

        r = receive_connection(fd, &conn_fd);
        if (r != 0)
                return r < 0 ? r : conn_fd;

        say(SAY_OTHER, "The program has closed descriptors that it doesn't know, and so clients of both families come out of "
                       "one of its listeners. It should listen on [::] alone.");
        (void) poll(NULL, 0, LOST_MS);
        return -ECONNABORTED;
}
