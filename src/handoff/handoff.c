/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "handoff/handoff.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>

#include "basic/error.h"
#include "basic/fd.h"
#include "handoff/protocol.h"

/* The one byte of the stream form. Receivers in use either ignore its value or insist on this one. */
#define STREAM_BYTE 0x00

/*
 * Room for more descriptors than may come: CMSG_SPACE() of one has padding in which the kernel would
 * install a second one, and a receiver that looks at the first only would leak it (CVE-2014-3635).
 */
#define RECEIVE_FDS_MAX (FDPASS_PERSISTENT_MAX + 8)

/*
 * Room for what a socket unit may ask the kernel to add (PassCredentials=, PassPIDFD=, PassSecurity=,
 * Timestamping=; unix(7), socket(7)): it comes before the descriptors, and where it took their place the
 * client would be lost.
 */
#define LABEL_MAX 256
#define OTHERS_SIZE                                                                                     \
        (CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(LABEL_MAX) + CMSG_SPACE(sizeof(int)) +           \
         CMSG_SPACE(3 * sizeof(struct timespec)))

#ifndef SCM_PIDFD
#define SCM_PIDFD 0x04 /* Linux 6.5 */
#endif

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83 /* Linux 6.16 */
#endif

int handoff_refuse_rights(int fd) {
        const int off = 0;

        return setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof(off)) < 0 ? -errno : 0;
}

bool handoff_may_bring_rights(void) {
        static int known = -1; /* a property of the kernel */
        _cleanup_close_ int fd = -EBADF;

        if (known < 0) {
                fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
                if (fd < 0)
                        return true;
                known = handoff_refuse_rights(fd) < 0;
        }

        return known;
}

ssize_t handoff_recv(int fd, void *p, size_t size, int flags) {
        struct iovec iov = { .iov_base = p, .iov_len = size };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
        ssize_t n;

        /* The copies that MSG_PEEK drops are never the last ones. */
        n = recvmsg(fd, &message, flags | MSG_PEEK);
        if (n <= 0)
                return n;
        if (message.msg_flags & MSG_CTRUNC) {
                errno = EBADMSG;
                return -1;
        }

        return recv(fd, p, (size_t) n, flags);
}

/* From a worker. Where the kernel keeps descriptors out there is no need to look first. */
static ssize_t handoff_recv_answer(int conn_fd, void *p, size_t size) {
        return handoff_may_bring_rights() ? handoff_recv(conn_fd, p, size, MSG_DONTWAIT) : recv(conn_fd, p, size, MSG_DONTWAIT);
}

int handoff_connect_type(const struct sockaddr_un *worker, socklen_t len, int type) {
        _cleanup_close_ int fd = -EBADF;

        fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;

        /* This comes before connect(2), because descriptors may come from then on. */
        (void) handoff_refuse_rights(fd);

        if (connect(fd, (const struct sockaddr *) worker, len) < 0)
                return -errno;

        return TAKE_FD(fd);
}

int handoff_connect(const struct sockaddr_un *worker, socklen_t len) {
        return handoff_connect_type(worker, len, SOCK_STREAM);
}

/* Adds the clients to a message, and sends it. */
static int send_with_clients(int fd, struct msghdr *message, const int *client_fds, size_t n) {
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
        unsigned char byte = STREAM_BYTE;
        struct iovec iov = { .iov_base = &byte, .iov_len = sizeof(byte) };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

        return send_with_clients(conn_fd, &message, &client_fd, 1);
}

int handoff_send_message(int conn_fd, Slice header, Slice consumed, int client_fd) {
        /* sendmsg() writes to none of these; its types only don't say so. */
        struct iovec iov[] = {
                { .iov_base = (void *) (uintptr_t) header.p,   .iov_len = header.n   },
                { .iov_base = (void *) (uintptr_t) consumed.p, .iov_len = consumed.n },
        };
        struct msghdr message = {
                .msg_iov = iov,
                .msg_iovlen = consumed.n > 0 ? 2 : 1,
        };

        return send_with_clients(conn_fd, &message, &client_fd, 1);
}

int handoff_send_batch(int conn_fd, Slice headers, const int *client_fds, size_t n) {
        struct iovec iov = { .iov_base = (void *) (uintptr_t) headers.p, .iov_len = headers.n };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

        return n > 0 && n <= FDPASS_PERSISTENT_MAX ? send_with_clients(conn_fd, &message, client_fds, n) : -EINVAL;
}

static Receipt receipt_from_answer(uint8_t answer) {
        switch (answer) {

        case FDPASS_ANSWER_REFUSED:
                return RECEIPT_REFUSED;

        case FDPASS_ANSWER_ERROR:
                return RECEIPT_ERROR;

        default:
                return RECEIPT_TAKEN;
        }
}

/* What a worker says is not worth more than what the kernel does: it may have spoken before it looked. */
static bool was_reset(int conn_fd) {
        char byte;

        return recv(conn_fd, &byte, sizeof(byte), MSG_PEEK | MSG_DONTWAIT) < 0 && errno == ECONNRESET;
}

static uint16_t read_u16(const uint8_t *p) {
        return (uint16_t) (p[0] << 8 | p[1]);
}

static bool parse_kept(const uint8_t *p, size_t n, PersistentAnswer *ret) {
        if (n != FDPASS_ANSWER_PERSISTENT_SIZE || p[0] != FDPASS_ANSWER_PERSISTENT)
                return false;

        *ret = (PersistentAnswer){
                .receipt = receipt_from_answer(p[1]),
                .first = read_u16(p + 2),
                .n = read_u16(p + 4),
                .limit = read_u16(p + 6),
        };
        return true;
}

/* Does the same as recvmmsg(2), and leaves a message with descriptors unread: EBADMSG. */
static int handoff_receive_answers_singly(int conn_fd, struct mmsghdr messages[static HANDOFF_ANSWERS_MAX]) {
        int n = 0;

        while (n < HANDOFF_ANSWERS_MAX) {
                const struct iovec *iov = messages[n].msg_hdr.msg_iov;
                ssize_t k = handoff_recv(conn_fd, iov->iov_base, iov->iov_len, MSG_DONTWAIT);

                if (k < 0)
                        return n > 0 && errno != EBADMSG ? n : -1;

                messages[n++].msg_len = (unsigned) k;
                if (k == 0)
                        break;
        }

        return n;
}

int handoff_receive_answers(int conn_fd, PersistentAnswer ret[static HANDOFF_ANSWERS_MAX], size_t *ret_n) {
        uint8_t answers[HANDOFF_ANSWERS_MAX][FDPASS_ANSWER_PERSISTENT_SIZE + 1];
        struct iovec iov[HANDOFF_ANSWERS_MAX];
        struct mmsghdr messages[HANDOFF_ANSWERS_MAX];
        int n;

        for (size_t i = 0; i < HANDOFF_ANSWERS_MAX; i++) {
                iov[i] = (struct iovec){ answers[i], sizeof(answers[i]) };
                messages[i].msg_hdr = (struct msghdr){ .msg_iov = &iov[i], .msg_iovlen = 1 };
        }

        *ret_n = 0;
        n = handoff_may_bring_rights() ? handoff_receive_answers_singly(conn_fd, messages)
                                       : recvmmsg(conn_fd, messages, HANDOFF_ANSWERS_MAX, MSG_DONTWAIT, NULL);
        if (n < 0)
                return errno == EBADMSG ? HANDOFF_INVALID : -errno;

        /* An error behind the first one is told by the next call (recvmmsg(2)), and the end is a message of no bytes. */
        for (int i = 0; i < n; i++) {
                if (messages[i].msg_len == 0)
                        return HANDOFF_CLOSED;
                if (!parse_kept(answers[i], messages[i].msg_len, &ret[*ret_n]))
                        return HANDOFF_INVALID;
                *ret_n += 1;
        }

        return n < HANDOFF_ANSWERS_MAX ? -EAGAIN : 0;
}

int handoff_answer_persistent(int conn_fd, uint8_t answer, uint16_t first, uint16_t n, uint16_t limit) {
        const uint8_t bytes[FDPASS_ANSWER_PERSISTENT_SIZE] = {
                FDPASS_ANSWER_PERSISTENT, answer,
                (uint8_t) (first >> 8), (uint8_t) first,
                (uint8_t) (n >> 8),     (uint8_t) n,
                (uint8_t) (limit >> 8), (uint8_t) limit,
        };

        return send(conn_fd, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

Receipt handoff_receipt_or_persistent(int conn_fd, bool look_into_queue, PersistentAnswer *ret_kept) {
        uint8_t answer[FDPASS_ANSWER_PERSISTENT_SIZE + 1];
        int unread = 1;
        ssize_t n;

        /*
         * In this order: a worker that goes away sets ECONNRESET before its queue is emptied, so an empty
         * queue followed by "no error, no end" can only be a message that was received.
         */
        if (look_into_queue && ioctl(conn_fd, SIOCOUTQ, &unread) < 0)
                unread = 1;

        n = handoff_recv_answer(conn_fd, answer, ret_kept ? sizeof(answer) : 1);
        if (n < 0 && errno == EBADMSG)
                return RECEIPT_TAKEN; /* a worker that sends descriptors has the client, whatever else it says */
        if (n > 0 && was_reset(conn_fd))
                return RECEIPT_RESET;
        if (n > 0)
                return ret_kept && parse_kept(answer, (size_t) n, ret_kept) ? RECEIPT_PERSISTENT :
                                                                             receipt_from_answer(answer[0]);
        if (n == 0)
                return RECEIPT_CLOSED;
        if (errno_is_transient(-errno))
                return unread == 0 ? RECEIPT_RECEIVED : RECEIPT_NONE;

        /* Any other error says nothing about the client, and a second worker must not have it for that. */
        return errno == ECONNRESET ? RECEIPT_RESET : RECEIPT_NONE;
}

Receipt handoff_receipt(int conn_fd, bool look_into_queue) {
        return handoff_receipt_or_persistent(conn_fd, look_into_queue, NULL);
}

/* Takes the first @max descriptors out of @message, closes all others, and says how many there were. */
static size_t collect_fds(struct msghdr *message, int *ret, size_t max) {
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
                char buffer[OTHERS_SIZE + CMSG_SPACE(sizeof(int) * RECEIVE_FDS_MAX)];
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

        size_t k = collect_fds(&message, ret_fds, max);

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

int handoff_peek_message(int fd, uint8_t *p, size_t size, size_t *ret_n, int ret_fds[static HANDOFF_RIGHTS_MAX], size_t *ret_n_fds) {
        union {
                struct cmsghdr header;
                char buffer[OTHERS_SIZE + CMSG_SPACE(sizeof(int) * HANDOFF_RIGHTS_MAX)];
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
        n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_PEEK | MSG_DONTWAIT);
        if (n < 0)
                return -errno;

        *ret_n = (size_t) n;
        *ret_n_fds = collect_fds(&message, ret_fds, HANDOFF_RIGHTS_MAX);
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

        return recvmsg(fd, &message, MSG_DONTWAIT) < 0 ? -errno : 0;
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
        if (n != 1 || bytes[0] != STREAM_BYTE)
                return HANDOFF_INVALID;

        *ret_client_fd = TAKE_FD(client_fd);
        return 0;
}

static int socket_option(int fd, int option, int *ret) {
        socklen_t size = sizeof(*ret);

        return getsockopt(fd, SOL_SOCKET, option, ret, &size) < 0 ? -errno : 0;
}

int handoff_check_client(int client_fd, bool with_unix) {
        int family, type, listens, r;

        r = socket_option(client_fd, SO_DOMAIN, &family);
        if (r == -ENOTSOCK)
                return HANDOFF_NO_CLIENT;
        if (r >= 0)
                r = socket_option(client_fd, SO_TYPE, &type);
        if (r >= 0)
                r = socket_option(client_fd, SO_ACCEPTCONN, &listens);
        if (r < 0)
                return r;

        if (family != AF_INET && family != AF_INET6 && !(family == AF_UNIX && with_unix))
                return HANDOFF_NO_CLIENT;

        return type == SOCK_STREAM && !listens ? 0 : HANDOFF_NO_CLIENT;
}

int handoff_check_connected(int client_fd) {
        struct pollfd p = { .fd = client_fd, .events = POLLOUT };
        int protocol, n_unsent, r;

        r = socket_option(client_fd, SO_PROTOCOL, &protocol);
        if (r < 0)
                return r;

        /* tcp_poll() in the kernel tells of a socket that is not connected, or not any more, by POLLHUP, and takes no lock. */
        if (poll(&p, 1, 0) < 0)
                return -errno;
        if (p.revents & POLLHUP || (protocol != IPPROTO_TCP && protocol != IPPROTO_MPTCP))
                return HANDOFF_NO_CLIENT;

        /* One that is still connecting can't be written to, and nothing was. MPTCP's SIOCOUTQ would take the lock. */
        return p.revents == 0 && protocol == IPPROTO_TCP && ioctl(client_fd, SIOCOUTQ, &n_unsent) >= 0 && n_unsent == 0
                       ? HANDOFF_NO_CLIENT : 0;
}

int handoff_check_room(int any_fd) {
        int fd = fcntl(any_fd, F_DUPFD_CLOEXEC, 0);

        if (fd < 0)
                return -errno;

        fd_close(fd);
        return 0;
}

int handoff_answer(int conn_fd, uint8_t answer) {
        if (send(conn_fd, &answer, sizeof(answer), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
                return 0;

        return errno == EPIPE || errno == ECONNRESET ? 0 : -errno;
}
