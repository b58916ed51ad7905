/* SPDX-License-Identifier: MIT-0 */

/* Receives one message and its client from one connection, and gives the answer: see fdpass-protocol(7). */

#include "workers/preload/idle.h"
#include "workers/preload/io.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <time.h>

/*
 * How long to wait for the message of an accepted connection. Senders connect and send at once, so only a sender that
 * was interrupted in between needs this. A program that does not block has other clients to serve, so it waits less.
 * No client is lost when we stop waiting, because the sender sees that its message was not read.
 */
#define WAIT_BLOCKING_MS 1000
#define WAIT_MS 100

/* Room for more descriptors than a message may have, so that we get the extra ones and can count and close them. */
#define FDS_MAX 8

/* Room for other control messages, which a socket unit may turn on (PassCredentials=, PassSecurity=, …). */
#define OTHERS_SIZE 512

#ifndef SCM_PIDFD
#define SCM_PIDFD 0x04 /* Linux 6.5; it carries a descriptor, too */
#endif

static uint64_t receive_now_usec(void) {
        struct timespec t;

        (void) clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t) t.tv_sec * 1000000 + (uint64_t) t.tv_nsec / 1000;
}

/* Continues after signals, because the connection would be lost to the program. Returns false if no message came. */
static bool receive_wait(int fd, int ms) {
        uint64_t deadline = receive_now_usec() + (uint64_t) ms * 1000;
        struct pollfd p = { .fd = fd, .events = POLLIN };
        int n;

        do {
                uint64_t now = receive_now_usec();

                if (now >= deadline)
                        return false;
                n = poll(&p, 1, (int) ((deadline - now + 999) / 1000));
        } while (n == 0 || (n < 0 && errno == EINTR));

        return n > 0;
}

size_t receive_take_fds(struct msghdr *message, int *ret, size_t max) {
        size_t n = 0;

        for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
                if (c->cmsg_level != SOL_SOCKET || (c->cmsg_type != SCM_RIGHTS && c->cmsg_type != SCM_PIDFD))
                        continue;

                for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
                        int fd;

                        memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
                        if (c->cmsg_type == SCM_RIGHTS && n < max)
                                ret[n] = fd;
                        else
                                (void) close(fd);
                        n += c->cmsg_type == SCM_RIGHTS;
                }
        }

        return n;
}

typedef struct ReceivedMessage {
        ssize_t n;    /* length of @bytes, or a negative errno */
        int flags;    /* MSG_TRUNC, MSG_CTRUNC */
        size_t n_fds; /* descriptors that came with it */
        uint8_t bytes[FDPASS_HEADER_MAX];
} ReceivedMessage;

/* @ret_fd is set if a descriptor came, and owned by the caller. */
static void receive_once(int conn_fd, int flags, ReceivedMessage *m, int *ret_fd) {
        union {
                struct cmsghdr header; /* for its alignment */
                char buffer[OTHERS_SIZE + CMSG_SPACE(sizeof(int) * FDS_MAX)];
        } control;
        struct iovec iov = { .iov_base = m->bytes, .iov_len = sizeof(m->bytes) };
        struct msghdr message = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = control.buffer,
                .msg_controllen = sizeof(control.buffer),
        };

        m->n = io_real.recvmsg(conn_fd, &message, flags);
        if (m->n < 0) {
                m->n = -errno;
                return;
        }

        m->flags = message.msg_flags;
        m->n_fds = receive_take_fds(&message, ret_fd, 1);
}

/*
 * True for a socket of TCP that does not listen, by two calls. The number of the protocol is also that of some raw sockets
 * and of some of netlink, but only TCP knows SIOCOUTQNSD. It fails with EINVAL if the socket listens (tcp_ioctl() in Linux).
 */
static bool receive_is_tcp(int fd, int protocol) {
        int n_unsent;

        return protocol == IPPROTO_TCP && ioctl(fd, SIOCOUTQNSD, &n_unsent) >= 0;
}

/* Of the protocols below 256 a raw socket may have each (socket(2) of IP), so MPTCP's number says the type. */
static bool receive_is_client(int fd) {
        int protocol = socket_option(fd, SO_PROTOCOL);

        if (receive_is_tcp(fd, protocol))
                return true;

        return (protocol == IPPROTO_MPTCP || socket_option(fd, SO_DOMAIN) == AF_UNIX) &&
               socket_option(fd, SO_TYPE) == SOCK_STREAM && socket_option(fd, SO_ACCEPTCONN) == 0;
}

int receive_read(const uint8_t *bytes, size_t n, bool is_cut, int fd, const WorkerSocket *w, ClientInfo *ret) {
        int answer = message_read(bytes, n, is_cut, receive_now_usec(), ret);

        if (answer == 0 && n > 1) {
                ret->cookie = socket_cookie(fd);
                if (ret->cookie == 0)
                        answer = FDPASS_ANSWER_ERROR;
        }
        if (answer != 0) {
                log_once(TOPIC_MESSAGE, "A message on %s was none, or had no client with it.", w->name.sun_path);
                return answer;
        }

        if (ret->has_consumed) {
                log_once(TOPIC_CONSUMED,
                         "A client came with bytes that were taken from its socket already, which this program "
                         "can't be given. It needs a worker that knows fdpass, or no stage before it.");
                return FDPASS_ANSWER_ERROR;
        }

        return ret->is_late ? FDPASS_ANSWER_REFUSED : 0;
}

/* Returns 0, or the answer for the sender. */
static int receive_check(const ReceivedMessage *m, const WorkerSocket *w, int client_fd, ClientInfo *ret) {
        /* LimitNOFILE= is reached, or a security module forbids the descriptor. Another worker may get it. */
        if (m->n_fds == 0 && m->flags & MSG_CTRUNC) {
                log_once(TOPIC_LOST_FD, "The socket of a client was lost, by LimitNOFILE= or by a security module.");
                return FDPASS_ANSWER_REFUSED;
        }

        if (m->n <= 0 || m->n_fds != 1 || m->flags & MSG_CTRUNC || (w->type == SOCK_STREAM && m->n != 1) ||
            !receive_is_client(client_fd)) {
                log_once(TOPIC_MESSAGE, "A message on %s was none, or had no client with it.", w->name.sun_path);
                return FDPASS_ANSWER_ERROR;
        }

        return receive_read(m->bytes, (size_t) m->n, m->flags & MSG_TRUNC, client_fd, w, ret);
}

static int receive_wait_ms(int listener_fd) {
        int flags = fcntl(listener_fd, F_GETFL);

        return flags >= 0 && flags & O_NONBLOCK ? WAIT_MS : WAIT_BLOCKING_MS;
}

void send_answer(int conn_fd, uint8_t answer) {
        (void) !io_real.send(conn_fd, &answer, sizeof(answer), MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Receives a message that may not be there yet. Returns false if none came in time. */
static bool receive_in_time(int conn_fd, int listener_fd, int flags, ReceivedMessage *m, int *ret_fd) {
        receive_once(conn_fd, flags | MSG_DONTWAIT, m, ret_fd);
        if (m->n != -EAGAIN)
                return true;
        if (!receive_wait(conn_fd, receive_wait_ms(listener_fd)))
                return false;

        receive_once(conn_fd, flags | MSG_DONTWAIT, m, ret_fd);
        return true;
}

sa_family_t receive_client_family(int fd, const ClientInfo *info) {
        IpAddress peer = info->peer;
        socklen_t length = sizeof(peer);

        if (peer.sa.sa_family == AF_UNSPEC && real.getpeername(fd, &peer.sa, &length) < 0)
                return AF_UNSPEC;

        address_present(&peer, /* mapped= */ false);
        return peer.sa.sa_family;
}

sa_family_t receive_family(int conn_fd, int listener_fd) {
        _cleanup_close_ int client_fd = -EBADF;
        ReceivedMessage m = { .n = 0 };
        ClientInfo info = {};

        if (!receive_in_time(conn_fd, listener_fd, MSG_PEEK | MSG_CMSG_CLOEXEC, &m, &client_fd) || m.n <= 0 || client_fd < 0)
                return AF_UNSPEC;

        (void) message_read(m.bytes, (size_t) m.n, m.flags & MSG_TRUNC, receive_now_usec(), &info);
        return receive_client_family(client_fd, &info);
}

int receive_connection(int fd, int *ret) {
        ReceivedMessage m;

        *ret = -ECONNABORTED;
        receive_once(fd, MSG_CMSG_CLOEXEC, &m, ret);
        if (m.n < 0)
                return (int) m.n;

        return m.n > 0;
}

int receive_client(int *conn_fd, int *place, int listener_fd, const WorkerSocket *w, int flags, ClientInfo *ret_info,
                   int *ret_fd) {
        _cleanup_close_ int client_fd = -EBADF;
        int conn = *conn_fd;
        ReceivedMessage m = { .n = 0 };
        uint32_t generation;
        uint8_t answer;

        close_at(place);
        *place = -EBADF;

        if (!receive_in_time(conn, listener_fd, flags & SOCK_CLOEXEC ? MSG_CMSG_CLOEXEC : 0, &m, &client_fd)) {
                log_once(TOPIC_SILENT, "A connection to %s brought no client in time.", w->name.sun_path);
                return RECEIVE_SILENT;
        }

        /* The sender left without a message. */
        if (m.n < 0 || (m.n == 0 && m.n_fds == 0))
                return RECEIVE_SKIP;

        answer = (uint8_t) receive_check(&m, w, client_fd, ret_info);
        if (answer != 0) {
                /* Before the answer, which means that we have no copy of the client. */
                close_at(&client_fd);
                client_fd = -EBADF;
                send_answer(conn, answer);
                return RECEIVE_SKIP;
        }

        if (follow_begin(client_fd, ret_info->cookie, m.bytes, (size_t) m.n, &generation) && back_keep(conn, generation)) {
                (void) take_fd(conn_fd);
                idle_watch(listener_fd);
        }
        *ret_fd = take_fd(&client_fd);
        return 0;
}
