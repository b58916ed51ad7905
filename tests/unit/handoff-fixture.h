/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A worker's socket of either form, clients to send to it, and senders of valid and invalid messages. */

#include "test.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/stat.h>

#include "basic/address.h"
#include "basic/fd.h"
#include "handoff/handoff.h"
#include "handoff/message.h"

/* A worker's socket. */
typedef struct Fixture {
        char path[64];
        struct sockaddr_un address;
        socklen_t len;
        int type;
        int fd;
} Fixture;

/* @ending makes a path beside that of fixture_open(). */
static inline void fixture_open_at(Fixture *f, const char *ending, int type, int flags, int backlog) {
        f->type = type;
        (void) snprintf(f->path, sizeof(f->path), "/tmp/fdpass-unit-%i.sock%s", (int) getpid(), ending);
        (void) unlink(f->path);
        assert_int_equal(address_from_path(f->path, &f->address, &f->len), 0);

        f->fd = socket(AF_UNIX, type | flags | SOCK_CLOEXEC, 0);
        assert_true(f->fd >= 0);
        assert_int_equal(bind(f->fd, (struct sockaddr *) &f->address, f->len), 0);
        assert_int_equal(chmod(f->path, 0600), 0);
        if (type != SOCK_DGRAM)
                assert_int_equal(listen(f->fd, backlog), 0);
}

static inline void fixture_open(Fixture *f, int type, int flags, int backlog) {
        fixture_open_at(f, "", type, flags, backlog);
}

static inline void fixture_close(Fixture *f) {
        f->fd = fd_close(f->fd);
        (void) unlink(f->path);
}

static inline int fixture_connect(const Fixture *f) {
        int fd = handoff_connect_type(&f->address, f->len, f->type);

        assert_true(fd >= 0);
        return fd;
}

/* Makes a client over TCP: ret[0] is its own end, ret[1] the one that a broker accepts. */
static inline void client_pair(int ret[static 2]) {
        struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        _cleanup_close_ int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        socklen_t len = sizeof(in);

        assert_true(listener >= 0);
        assert_int_equal(bind(listener, (struct sockaddr *) &in, len), 0);
        assert_int_equal(listen(listener, 1), 0);
        assert_int_equal(getsockname(listener, (struct sockaddr *) &in, &len), 0);

        ret[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(ret[0], (struct sockaddr *) &in, len), 0);
        ret[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        assert_true(ret[1] >= 0);
}

static inline void pair_close(int pair[static 2]) {
        fd_close(pair[0]);
        fd_close(pair[1]);
}

/* Checks that @a and @b are the ends of one connection. */
static inline void assert_connected(int a, int b) {
        char byte = 'x', got = 0;

        assert_int_equal(send(a, &byte, 1, MSG_NOSIGNAL), 1);
        assert_int_equal(recv(b, &got, 1, 0), 1);
        assert_int_equal(got, byte);
}

/* Sends @n_fds copies of @fd with any bytes, as a hostile sender does. */
static inline void send_raw(int conn_fd, const void *bytes, size_t n_bytes, int fd, size_t n_fds) {
        union {
                struct cmsghdr header;
                char buffer[CMSG_SPACE(sizeof(int) * 253)];
        } control = {};
        struct iovec iov = { .iov_base = (void *) (uintptr_t) bytes, .iov_len = n_bytes };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

        if (n_fds > 0) {
                message.msg_control = control.buffer;
                message.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
                CMSG_FIRSTHDR(&message)->cmsg_level = SOL_SOCKET;
                CMSG_FIRSTHDR(&message)->cmsg_type = SCM_RIGHTS;
                CMSG_FIRSTHDR(&message)->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
                for (size_t i = 0; i < n_fds; i++)
                        memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)) + i * sizeof(int), &fd, sizeof(int));
        }

        assert_int_equal(sendmsg(conn_fd, &message, MSG_NOSIGNAL), (ssize_t) n_bytes);
}

/* Sends a client as the broker does. */
static inline int send_message(int conn_fd, const Message *m, int client_fd) {
        uint8_t header[FDPASS_HEADER_MAX];
        size_t n;

        assert_int_equal(message_encode(m, header, sizeof(header), &n), 0);
        return handoff_send_message(conn_fd, (Slice){ header, n }, m->consumed, client_fd);
}

static inline int send_in_form(const Fixture *f, int conn_fd, int client_fd) {
        return f->type == SOCK_STREAM ? handoff_send(conn_fd, client_fd)
                                      : send_message(conn_fd, &MESSAGE_NULL, client_fd);
}
