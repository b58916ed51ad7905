/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "handoff/handoff.h"

#include <errno.h>

#include "basic/fd.h"

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83 /* Linux 6.16 */
#endif

int handoff_refuse_rights(int fd) {
        const int off = 0;

        return setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof(off)) < 0 ? -errno : 0;
}

int handoff_accept_rights(int fd) {
        const int on = 1;

        return setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &on, sizeof(on)) < 0 && errno != ENOPROTOOPT ? -errno : 0;
}

bool handoff_may_bring_rights(void) {
        static int may_bring = -1; /* does not change while the kernel runs; -1: unknown */
        _cleanup_close_ int fd = -EBADF;

        if (may_bring < 0) {
                fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
                if (fd < 0)
                        return true;
                may_bring = handoff_refuse_rights(fd) < 0;
        }

        return may_bring;
}

ssize_t handoff_recv(int fd, void *p, size_t size, int flags) {
        struct iovec iov = { .iov_base = p, .iov_len = size };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
        ssize_t n;

        /*
         * Closing the copies that MSG_PEEK made waits for nothing, because they are not the last ones: the message has
         * others.
         */
        n = recvmsg(fd, &message, flags | MSG_PEEK);
        if (n <= 0)
                return n;
        if (message.msg_flags & MSG_CTRUNC) {
                errno = EBADMSG;
                return -1;
        }

        return recv(fd, p, (size_t) n, flags);
}

int handoff_connect_type(const struct sockaddr_un *worker, socklen_t len, int type) {
        _cleanup_close_ int fd = -EBADF;

        fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;

        /* Before connect(2), because descriptors may come from then on. */
        (void) handoff_refuse_rights(fd);

        if (connect(fd, (const struct sockaddr *) worker, len) < 0)
                return -errno;

        return TAKE_FD(fd);
}

static int handoff_send_with_clients(int fd, struct msghdr *message, const int *client_fds, size_t n) {
        union {
                struct cmsghdr header; /* for its alignment */
                char buffer[CMSG_SPACE(sizeof(int) * FDPASS_PERSISTENT_MAX)];
        } control;
        struct cmsghdr *c;

        message->msg_control = control.buffer;
        message->msg_controllen = CMSG_SPACE(sizeof(int) * n);

        c = CMSG_FIRSTHDR(message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * n);
        memcpy(CMSG_DATA(c), client_fds, sizeof(int) * n);

        return sendmsg(fd, message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int handoff_send(int conn_fd, int client_fd) {
        unsigned char byte = FDPASS_STREAM_BYTE;
        struct iovec iov = { .iov_base = &byte, .iov_len = sizeof(byte) };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

        return handoff_send_with_clients(conn_fd, &message, &client_fd, 1);
}

int handoff_send_message(int conn_fd, Slice header, Slice consumed, int client_fd) {
        /* sendmsg(2) does not write to these bytes, although struct iovec has no const. */
        struct iovec iov[] = {
                { .iov_base = (void *) (uintptr_t) header.p,   .iov_len = header.n   },
                { .iov_base = (void *) (uintptr_t) consumed.p, .iov_len = consumed.n },
        };
        struct msghdr message = {
                .msg_iov = iov,
                .msg_iovlen = consumed.n > 0 ? 2 : 1,
        };

        return handoff_send_with_clients(conn_fd, &message, &client_fd, 1);
}

int handoff_send_batch(int conn_fd, Slice headers, const int *client_fds, size_t n) {
        struct iovec iov = { .iov_base = (void *) (uintptr_t) headers.p, .iov_len = headers.n };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

        if (n == 0 || n > FDPASS_PERSISTENT_MAX)
                return -EINVAL;

        return handoff_send_with_clients(conn_fd, &message, client_fds, n);
}
