/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "handoff/handoff.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "basic/error.h"
#include "basic/fd.h"

/* The one byte of the stream form. Receivers in use either ignore its value or insist on this one. */
#define STREAM_BYTE 0x00

/*
 * Room for more descriptors than may come: CMSG_SPACE() of one has padding in which the kernel would
 * install a second one, and a receiver that looks at the first only would leak it (CVE-2014-3635).
 */
#define RECEIVE_FDS_MAX 8

int handoff_connect(const struct sockaddr_un *worker, socklen_t len) {
        _cleanup_close_ int fd = -EBADF;

        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;

        if (connect(fd, (const struct sockaddr *) worker, len) < 0)
                return -errno;

        return TAKE_FD(fd);
}

int handoff_send(int conn_fd, int client_fd) {
        union {
                struct cmsghdr header; /* for its alignment */
                char buffer[CMSG_SPACE(sizeof(int))];
        } control = {};
        unsigned char byte = STREAM_BYTE;
        struct iovec iov = { .iov_base = &byte, .iov_len = sizeof(byte) };
        struct msghdr message = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = control.buffer,
                .msg_controllen = sizeof(control.buffer),
        };
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);

        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &client_fd, sizeof(int));

        return sendmsg(conn_fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

Receipt handoff_receipt(int conn_fd, bool look_into_queue) {
        int unread = 1;
        char byte;
        ssize_t n;

        /*
         * In this order: a worker that goes away sets ECONNRESET before its queue is emptied, so an empty
         * queue followed by "no error, no end" can only be a message that was received.
         */
        if (look_into_queue && ioctl(conn_fd, SIOCOUTQ, &unread) < 0)
                unread = 1;

        n = recv(conn_fd, &byte, sizeof(byte), MSG_DONTWAIT);
        if (n >= 0)
                return RECEIPT_TAKEN;
        if (errno_is_transient(-errno))
                return unread == 0 ? RECEIPT_TAKEN : RECEIPT_NONE;

        return RECEIPT_RESET;
}

/* Takes all descriptors out of @message into @fds and says how many there were. */
static size_t collect_fds(struct msghdr *message, int fds[static RECEIVE_FDS_MAX]) {
        size_t n = 0;

        for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
                if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
                        continue;

                size_t k = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

                k = MIN(k, RECEIVE_FDS_MAX - n);
                memcpy(fds + n, CMSG_DATA(c), k * sizeof(int));
                n += k;
        }

        return n;
}

int handoff_receive(int conn_fd, int *ret_client_fd) {
        union {
                struct cmsghdr header;
                char buffer[CMSG_SPACE(sizeof(int) * RECEIVE_FDS_MAX)];
        } control = {};
        unsigned char bytes[2];
        struct iovec iov = { .iov_base = bytes, .iov_len = sizeof(bytes) };
        struct msghdr message = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = control.buffer,
                .msg_controllen = sizeof(control.buffer),
        };
        int fds[RECEIVE_FDS_MAX];
        ssize_t n;

        n = recvmsg(conn_fd, &message, MSG_CMSG_CLOEXEC);
        if (n < 0)
                return -errno;

        size_t n_fds = collect_fds(&message, fds);

        if (n == 1 && bytes[0] == STREAM_BYTE && n_fds == 1 && !(message.msg_flags & MSG_CTRUNC)) {
                *ret_client_fd = fds[0];
                return 0;
        }

        for (size_t i = 0; i < n_fds; i++)
                fd_close(fds[i]);

        if (n == 0)
                return HANDOFF_CLOSED;
        if (n_fds == 0 && message.msg_flags & MSG_CTRUNC)
                return HANDOFF_NO_FD;
        return HANDOFF_INVALID;
}
