/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "handoff/handoff.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>

#include "basic/fd.h"

/*
 * Room for more descriptors than a message may have. CMSG_SPACE() of one descriptor has padding, in which the kernel
 * installs a second one; a receiver that looks at the first only would leak it (CVE-2014-3635).
 */
#define RECEIVE_FDS_MAX (FDPASS_PERSISTENT_MAX + 8)

/*
 * Room for what a socket unit may ask the kernel to add: PassCredentials=, PassSecurity=, PassPIDFD= and Timestamping=
 * (systemd.socket(5), unix(7), socket(7)). The kernel writes it before the descriptors, so without this room the client
 * would be lost.
 */
#define RECEIVE_LABEL_MAX 256
#define RECEIVE_OTHERS_SIZE                                                                              \
        (CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(RECEIVE_LABEL_MAX) + CMSG_SPACE(sizeof(int)) +    \
         CMSG_SPACE(3 * sizeof(struct timespec)))

#ifndef SCM_PIDFD
#define SCM_PIDFD 0x04 /* Linux 6.5 */
#endif

/* Takes the first @max descriptors out of @message and closes all others. Returns how many there were. */
static size_t receive_collect_fds(struct msghdr *message, int *ret, size_t max) {
        size_t n = 0;

        for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
                if (c->cmsg_level != SOL_SOCKET || (c->cmsg_type != SCM_RIGHTS && c->cmsg_type != SCM_PIDFD))
                        continue;

                for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
                        int fd;

                        memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
                        if (c->cmsg_type == SCM_RIGHTS && n++ < max)
                                ret[n - 1] = fd;
                        else
                                fd_close_socket(fd);
                }
        }

        return n;
}

int handoff_receive_batch(int fd, int flags, uint8_t *p, size_t size, size_t *ret_n, int *ret_fds, size_t *n_fds) {
        union {
                struct cmsghdr header;
                char buffer[RECEIVE_OTHERS_SIZE + CMSG_SPACE(sizeof(int) * RECEIVE_FDS_MAX)];
        } control;
        struct iovec iov = { .iov_base = p, .iov_len = size };
        struct msghdr message = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = control.buffer,
                .msg_controllen = sizeof(control.buffer),
        };
        size_t max = *n_fds;
        ssize_t n;

        n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | flags);
        if (n < 0)
                return -errno;

        size_t k = receive_collect_fds(&message, ret_fds, max);

        if (n > 0 && k > 0 && k <= max && !(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
                *ret_n = (size_t) n;
                *n_fds = k;
                return 0;
        }

        for (size_t i = 0; i < MIN(k, max); i++)
                fd_close_socket(ret_fds[i]);

        *ret_n = (size_t) n;
        if (message.msg_flags & MSG_CTRUNC && k < max)
                return HANDOFF_NO_FD;
        return n == 0 && k == 0 ? HANDOFF_CLOSED : HANDOFF_INVALID;
}

/*
 * A sender that ends with our answers unread makes one call fail with ECONNRESET (unix_release_sock() in Linux). The messages
 * that it sent before are still there.
 */
static ssize_t receive_past_reset(int fd, struct msghdr *message, int flags) {
        ssize_t n = recvmsg(fd, message, flags | MSG_DONTWAIT);

        return n < 0 && errno == ECONNRESET ? recvmsg(fd, message, flags | MSG_DONTWAIT) : n;
}

int handoff_peek_message(int fd, uint8_t *p, size_t size, size_t *ret_n, int ret_fds[static HANDOFF_RIGHTS_MAX],
                         size_t *ret_n_fds) {
        union {
                struct cmsghdr header;
                char buffer[RECEIVE_OTHERS_SIZE + CMSG_SPACE(sizeof(int) * HANDOFF_RIGHTS_MAX)];
        } control;
        struct iovec iov = { .iov_base = p, .iov_len = size };
        struct msghdr message = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = control.buffer,
                .msg_controllen = sizeof(control.buffer),
        };
        ssize_t n;

        *ret_n_fds = 0;
        n = receive_past_reset(fd, &message, MSG_CMSG_CLOEXEC | MSG_PEEK);
        if (n < 0)
                return -errno;

        *ret_n = (size_t) n;
        *ret_n_fds = receive_collect_fds(&message, ret_fds, HANDOFF_RIGHTS_MAX);
        if (message.msg_flags & MSG_CTRUNC)
                return HANDOFF_NO_FD;
        if (n == 0 && *ret_n_fds == 0)
                return HANDOFF_CLOSED;
        return n > 0 && *ret_n_fds == 1 && !(message.msg_flags & MSG_TRUNC) ? 0 : HANDOFF_INVALID;
}

int handoff_discard(int fd, size_t n) {
        uint8_t bytes[2];
        struct iovec iov = { .iov_base = bytes, .iov_len = MIN(n, sizeof(bytes)) };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

        return receive_past_reset(fd, &message, 0) < 0 ? -errno : 0;
}

int handoff_receive_message(int fd, int flags, uint8_t *p, size_t size, size_t *ret_n, int *ret_client_fd) {
        size_t n_fds = 1;

        return handoff_receive_batch(fd, flags, p, size, ret_n, ret_client_fd, &n_fds);
}

int handoff_receive(int conn_fd, int *ret_client_fd) {
        _cleanup_close_socket_ int client_fd = -EBADF;
        uint8_t bytes[2];
        size_t n;
        int r;

        r = handoff_receive_message(conn_fd, 0, bytes, sizeof(bytes), &n, &client_fd);
        if (r != 0)
                return r;
        if (n != 1 || bytes[0] != FDPASS_STREAM_BYTE)
                return HANDOFF_INVALID;

        *ret_client_fd = TAKE_FD(client_fd);
        return 0;
}

/*
 * True for a socket of TCP that does not listen, by two calls instead of three. Neither takes a lock of the socket. The
 * number of the protocol is also that of some raw sockets and of some of netlink, but only TCP knows SIOCOUTQNSD. It fails
 * with EINVAL if the socket listens (tcp_ioctl() in Linux).
 */
static bool receive_is_tcp(int client_fd) {
        int n_unsent;

        return fd_option(client_fd, SO_PROTOCOL) == IPPROTO_TCP && ioctl(client_fd, SIOCOUTQNSD, &n_unsent) >= 0;
}

int handoff_check_client(int client_fd, bool with_unix) {
        int family, type, listens;

        if (receive_is_tcp(client_fd))
                return 0;

        family = fd_option(client_fd, SO_DOMAIN);
        if (family < 0)
                return family == -ENOTSOCK ? HANDOFF_NO_CLIENT : family;
        if (family != AF_INET && family != AF_INET6 && !(family == AF_UNIX && with_unix))
                return HANDOFF_NO_CLIENT;

        type = fd_option(client_fd, SO_TYPE);
        listens = type < 0 ? type : fd_option(client_fd, SO_ACCEPTCONN);
        if (listens < 0)
                return listens;

        return type == SOCK_STREAM && listens == 0 ? 0 : HANDOFF_NO_CLIENT;
}

int handoff_check_connected(int client_fd) {
        struct pollfd p = { .fd = client_fd, .events = POLLOUT };
        int protocol = fd_option(client_fd, SO_PROTOCOL), n_unsent;

        if (protocol < 0)
                return protocol;

        /* tcp_poll() in Linux takes no lock. It sets POLLHUP for a socket that is not connected, also after a reset. */
        if (poll(&p, 1, 0) < 0)
                return -errno;
        if (p.revents & POLLHUP || (protocol != IPPROTO_TCP && protocol != IPPROTO_MPTCP))
                return HANDOFF_NO_CLIENT;

        /* A socket that is connecting is not writable, and has nothing unsent. For MPTCP, SIOCOUTQ takes the lock. */
        return p.revents == 0 && protocol == IPPROTO_TCP && ioctl(client_fd, SIOCOUTQ, &n_unsent) >= 0 && n_unsent == 0
                       ? HANDOFF_NO_CLIENT : 0;
}

bool handoff_is_connected(int client_fd) {
        struct pollfd p = { .fd = client_fd, .events = POLLOUT };

        return poll(&p, 1, 0) > 0 && p.revents & POLLOUT && !(p.revents & POLLHUP);
}

int handoff_check_room(int any_fd) {
        int fd = fcntl(any_fd, F_DUPFD_CLOEXEC, 0);

        if (fd < 0)
                return -errno;

        fd_close(fd);
        return 0;
}
