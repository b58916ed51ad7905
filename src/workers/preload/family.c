/* SPDX-License-Identifier: MIT-0 */

/*
 * A program that binds its port for IPv4 and for IPv6 has two listeners, but there is one worker's socket. Servers rely
 * on the family: nginx resets a client over IPv6 on its listener for IPv4, and may have other sites on each of them. So
 * the worker's socket stands for the family that was bound first. The program's listener for the other family is one
 * end of a socket pair, and we keep the other end.
 *
 * A process that accepts a client of the wrong family sends the connection into the pair, unread. A process of the
 * program that accepts from the pair then receives the client. The broker sees no difference. passed.c makes the pair.
 *
 * It is a pair and no listening socket, because that needs bind(2), listen(2) and connect(2). These calls lead from a
 * client's socket into the host's network, so the service's SystemCallFilter= has to be able to forbid them.
 */

#include "workers/preload/preload.h"

#include <fcntl.h>
#include <poll.h>

/* Pause of accept() on a pair whose other end is closed, because poll() then reports it readable all the time. */
#define LOST_MS 100

int family_open(int *ret_sender) {
        int fds[2];

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
                return -errno;

        *ret_sender = move_up_fd(fds[1]);
        return fds[0];
}

static int family_send_connection(int fd, int conn_fd) {
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

int family_send(int conn_fd, const WorkerSocket *w) {
        _cleanup_close_ int conn = conn_fd;
        int r = -EBADF;

        if (socket_cookie(w->sender_fd) == w->sender_cookie)
                r = family_send_connection(w->sender_fd, conn);

        /* No process has the listener any more, or this one has closed our end. */
        if (r == -EPIPE || r == -ECONNRESET || r == -EBADF) {
                (void) take_fd(&conn);
                return 0;
        }

        /* The queue of the pair is full. Another worker may have room. */
        if (r < 0)
                send_answer(conn, FDPASS_ANSWER_REFUSED);
        return 1;
}

int family_receive(int fd) {
        /* If no descriptor is free, recvmsg(2) discards the connection. So find out before. */
        int conn_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0), r;

        if (conn_fd < 0)
                return -errno;
        (void) close(conn_fd);

        r = receive_connection(fd, &conn_fd);
        if (r != 0)
                return r < 0 ? r : conn_fd;

        log_once(TOPIC_CLOSED_PAIR, "The program has closed descriptors that it doesn't know, and so clients of both "
                                    "families come out of one of its listeners. It should listen on [::] alone.");
        (void) poll(NULL, 0, LOST_MS);
        return -ECONNABORTED;
}
