/* SPDX-License-Identifier: MIT-0 */

/* One connection, one message, one client: with the receipt that the protocol wants, see fdpass-protocol(7). */

#include "workers/preload/preload.h"

#include <fcntl.h>
#include <poll.h>
#include <time.h>

/*
 * How long an accepted connection may be without its message. It is sent right behind, so this is only for a sender
 * that was interrupted in between: a program that doesn't block is to get on with its clients, and would never hear
 * of a message that came later. Giving up loses nothing: the sender learns that it still has the client.
 */
#define WAIT_BLOCKING_MS 1000
#define WAIT_MS 100

/*
 * Room for more descriptors than may come, so that the kernel gives us those that are too many and we can close
 * them; and for what a socket unit may have the kernel add (PassCredentials=, PassSecurity=, …).
 */
#define FDS_MAX 8
#define OTHERS_SIZE 512

#ifndef SCM_PIDFD
#define SCM_PIDFD 0x04 /* Linux 6.5: a descriptor as well */
#endif

static uint64_t now_usec(void) {
        struct timespec t;

        (void) clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t) t.tv_sec * 1000000 + (uint64_t) t.tv_nsec / 1000;
}

/* A signal doesn't end the wait: the connection would be lost to the program. */
static bool wait_for_message(int fd, int ms) {
        uint64_t deadline = now_usec() + (uint64_t) ms * 1000;
        struct pollfd p = { .fd = fd, .events = POLLIN };
        int n;

        do {
                uint64_t now = now_usec();

                if (now >= deadline)
                        return false;
                n = poll(&p, 1, (int) ((deadline - now + 999) / 1000));
        } while (n == 0 || (n < 0 && errno == EINTR));

        return n > 0;
}

/* Takes the first descriptor out of @message, closes all others, and says how many there were. */
static size_t take_fds(struct msghdr *message, int *ret) {
        size_t n = 0;

        for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
                if (c->cmsg_level != SOL_SOCKET || (c->cmsg_type != SCM_RIGHTS && c->cmsg_type != SCM_PIDFD))
                        continue;

                for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
                        int fd;

                        memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
                        if (c->cmsg_type == SCM_RIGHTS && n++ == 0)
                                *ret = fd;
                        else
                                (void) close(fd);
                }
        }

        return n;
}

/* What came over a connection. */
typedef struct Message {
        ssize_t n; /* bytes, or a negative errno */
        int flags;
        size_t n_fds;
        uint8_t bytes[FDPASS_HEADER_MAX];
} Message;

static void receive_message(int conn_fd, int flags, Message *m, int *ret_fd) {
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

        m->n = recvmsg(conn_fd, &message, flags | MSG_CMSG_CLOEXEC);
        if (m->n < 0) {
                m->n = -errno;
                return;
        }

        m->flags = message.msg_flags;
        m->n_fds = take_fds(&message, ret_fd);
}

static bool is_client(int fd) {
        int family = socket_option(fd, SO_DOMAIN);

        return (family == AF_INET || family == AF_INET6 || family == AF_UNIX) &&
               socket_option(fd, SO_TYPE) == SOCK_STREAM && socket_option(fd, SO_ACCEPTCONN) == 0;
}

/* Returns 0, or the answer that the sender gets. */
static int check_message(const Message *m, const Listener *l, int client_fd, Told *ret) {
        bool is_cut = m->flags & MSG_TRUNC;
        int answer;

        /* The process has no room for it, or a security module has kept it: another worker may take it. */
        if (m->n_fds == 0 && m->flags & MSG_CTRUNC) {
                say(SAY_ROOM, "The socket of a client was lost, by LimitNOFILE= or by a security module.");
                return FDPASS_ANSWER_REFUSED;
        }

        answer = FDPASS_ANSWER_ERROR;
        if (m->n > 0 && m->n_fds == 1 && !(m->flags & MSG_CTRUNC) && (l->type != SOCK_STREAM || m->n == 1))
                answer = told_read(m->bytes, (size_t) m->n, is_cut, now_usec(), ret);
        if (answer == 0 && !is_client(client_fd))
                answer = FDPASS_ANSWER_ERROR;
        if (answer != 0) {
                say(SAY_MESSAGE, "A message on %s was none, or had no client with it.", l->name.sun_path);
                return answer;
        }

        if (ret->has_consumed) {
                say(SAY_CONSUMED, "A client came with bytes that were taken from its socket already, which this program "
                                  "can't be given. It needs a worker that knows fdpass, or no stage before it.");
                return FDPASS_ANSWER_ERROR;
        }

        return ret->is_late ? FDPASS_ANSWER_REFUSED : 0;
}

static int wait_time(int listener_fd) {
        int flags = fcntl(listener_fd, F_GETFL);

        return flags >= 0 && flags & O_NONBLOCK ? WAIT_MS : WAIT_BLOCKING_MS;
}

void send_answer(int conn_fd, uint8_t answer) {
        (void) !send(conn_fd, &answer, sizeof(answer), MSG_DONTWAIT | MSG_NOSIGNAL);
}

sa_family_t receive_family(int conn_fd, int listener_fd) {
        _cleanup_close_ int client_fd = -EBADF;
        Message m = { .n = 0 };
        Address peer = {};
        socklen_t length = sizeof(peer);
        Told told = {};

        receive_message(conn_fd, MSG_PEEK | MSG_DONTWAIT, &m, &client_fd);
        if (m.n == -EAGAIN && wait_for_message(conn_fd, wait_time(listener_fd)))
                receive_message(conn_fd, MSG_PEEK | MSG_DONTWAIT, &m, &client_fd);
        if (m.n <= 0 || client_fd < 0)
                return AF_UNSPEC;

        (void) told_read(m.bytes, (size_t) m.n, m.flags & MSG_TRUNC, now_usec(), &told);
        if (told.peer.sa.sa_family != AF_UNSPEC)
                peer = told.peer;
        else if (real.getpeername(client_fd, &peer.sa, &length) < 0)
                return AF_UNSPEC;

        address_present(&peer, /* mapped= */ false);
        return peer.sa.sa_family;
}

int receive_connection(int fd, int *ret) {
        Message m;

        *ret = -ECONNABORTED;
        receive_message(fd, 0, &m, ret);
        if (m.n < 0)
                return (int) m.n;

        return m.n > 0;
}

int receive_client(int conn_fd, int *place, int listener_fd, const Listener *l, Told *ret_told, int *ret_fd) {
        _cleanup_close_ int conn = conn_fd, client_fd = -EBADF;
        Message m = { .n = 0 };
        uint8_t answer;

        close_at(place);
        *place = -EBADF;

        receive_message(conn, MSG_DONTWAIT, &m, &client_fd);
        if (m.n == -EAGAIN) {
                if (!wait_for_message(conn, wait_time(listener_fd))) {
                        say(SAY_SILENT, "A connection to %s brought no client in time.", l->name.sun_path);
                        return RECEIVE_SILENT;
                }
                receive_message(conn, MSG_DONTWAIT, &m, &client_fd);
        }

        /* The sender is gone, and had nothing to say. */
        if (m.n < 0 || (m.n == 0 && m.n_fds == 0))
                return RECEIVE_SKIP;

        answer = (uint8_t) check_message(&m, l, client_fd, ret_told);
        if (answer != 0) {
                /* Not to have it any more when the sender reads this. */
                close_at(&client_fd);
                client_fd = -EBADF;
                send_answer(conn, answer);
                return RECEIVE_SKIP;
        }

        *ret_fd = take_fd(&client_fd);
        return 0;
}
