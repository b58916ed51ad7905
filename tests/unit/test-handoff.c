/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "test.h"

#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "basic/address.h"
#include "basic/fd.h"
#include "handoff/handoff.h"
#include "handoff/protocol.h"

/* A worker's listening socket. */
typedef struct Fixture {
        char path[64];
        struct sockaddr_un address;
        socklen_t len;
        int listener;
} Fixture;

static void fixture_open(Fixture *f, int type, int backlog) {
        (void) snprintf(f->path, sizeof(f->path), "/tmp/test-handoff-%i.sock", (int) getpid());
        (void) unlink(f->path);
        assert_int_equal(address_from_path(f->path, &f->address, &f->len), 0);

        f->listener = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
        assert_true(f->listener >= 0);
        assert_int_equal(bind(f->listener, (struct sockaddr *) &f->address, f->len), 0);
        assert_int_equal(listen(f->listener, backlog), 0);
}

static void fixture_close(Fixture *f) {
        f->listener = fd_close(f->listener);
        (void) unlink(f->path);
}

static int take(Fixture *f) {
        int fd = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC);

        assert_true(fd >= 0);
        return fd;
}

/* The worker gets the same socket, and its close(2) is the receipt. */
static void test_taken_by_close(void **state) {
        int client[2], conn, worker, received;
        char byte = 'x';
        Fixture f;

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, client), 0);
        fixture_open(&f, SOCK_STREAM, 8);

        conn = handoff_connect_type(&f.address, f.len, SOCK_STREAM);
        assert_true(conn >= 0);
        assert_int_equal(handoff_send(conn, client[0]), 0);
        assert_int_equal(handoff_receipt(conn, true), RECEIPT_NONE);

        worker = take(&f);
        assert_int_equal(handoff_receipt(conn, true), RECEIPT_NONE);
        assert_int_equal(handoff_receive(worker, &received), 0);
        assert_int_equal(fcntl(received, F_GETFD), FD_CLOEXEC);
        assert_int_equal(handoff_receipt(conn, false), RECEIPT_NONE);

        fd_close(worker);
        assert_int_equal(handoff_receipt(conn, false), RECEIPT_CLOSED);

        assert_int_equal(write(client[1], &byte, 1), 1);
        assert_int_equal(read(received, &byte, 1), 1);

        fd_close(received);
        fd_close(conn);
        fd_close(client[0]);
        fd_close(client[1]);
        fixture_close(&f);
}

/* A worker that leaves the connection open has given its receipt by reading the message. */
static void test_taken_by_queue(void **state) {
        int conn, worker, received;
        Fixture f;

        fixture_open(&f, SOCK_STREAM, 8);
        conn = handoff_connect_type(&f.address, f.len, SOCK_STREAM);
        assert_int_equal(handoff_send(conn, STDERR_FILENO), 0);
        worker = take(&f);
        assert_int_equal(handoff_receive(worker, &received), 0);

        assert_int_equal(handoff_receipt(conn, false), RECEIPT_NONE);
        assert_int_equal(handoff_receipt(conn, true), RECEIPT_RECEIVED);

        fd_close(received);
        fd_close(worker);
        fd_close(conn);
        fixture_close(&f);
}

/* The worker's answers. An unknown one counts as taken, so that no second worker gets the client. */
static void test_answers(void **state) {
        static const struct {
                uint8_t byte;
                Receipt receipt;
        } answers[] = { { FDPASS_ANSWER_TAKEN, RECEIPT_TAKEN },
                        { FDPASS_ANSWER_REFUSED, RECEIPT_REFUSED },
                        { FDPASS_ANSWER_ERROR, RECEIPT_ERROR },
                        { 'x', RECEIPT_TAKEN } };

        for (size_t i = 0; i < ELEMENTSOF(answers); i++) {
                int conn, worker, received;
                Fixture f;

                fixture_open(&f, SOCK_STREAM, 8);
                conn = handoff_connect_type(&f.address, f.len, SOCK_STREAM);
                assert_int_equal(handoff_send(conn, STDERR_FILENO), 0);
                worker = take(&f);
                assert_int_equal(handoff_receive(worker, &received), 0);
                fd_close(received);
                assert_int_equal(write(worker, &answers[i].byte, 1), 1);
                fd_close(worker);
                assert_int_equal(handoff_receipt(conn, true), answers[i].receipt);
                fd_close(conn);
                fixture_close(&f);
        }
}

/* A worker that ends before it reads the message has not received it. */
static void test_reset(void **state) {
        int conn;
        Fixture f;

        fixture_open(&f, SOCK_STREAM, 8);
        conn = handoff_connect_type(&f.address, f.len, SOCK_STREAM);
        assert_int_equal(handoff_send(conn, STDERR_FILENO), 0);

        fd_close(take(&f));
        assert_int_equal(handoff_receipt(conn, true), RECEIPT_RESET);

        fd_close(conn);
        fixture_close(&f);
}

/* The same if the listening socket is closed while the message waits in its backlog. */
static void test_reset_in_backlog(void **state) {
        int conn;
        Fixture f;

        fixture_open(&f, SOCK_STREAM, 8);
        conn = handoff_connect_type(&f.address, f.len, SOCK_STREAM);
        assert_int_equal(handoff_send(conn, STDERR_FILENO), 0);
        fixture_close(&f);

        assert_int_equal(handoff_receipt(conn, true), RECEIPT_RESET);
        fd_close(conn);
}

/* A full backlog is -EAGAIN at once. */
static void test_backlog_full(void **state) {
        int a, b;
        Fixture f;

        fixture_open(&f, SOCK_STREAM, 0); /* room for backlog + 1 */
        a = handoff_connect_type(&f.address, f.len, SOCK_STREAM);
        assert_true(a >= 0);
        b = handoff_connect_type(&f.address, f.len, SOCK_STREAM);
        assert_int_equal(b, -EAGAIN);

        fd_close(a);
        fixture_close(&f);
}

static void test_wrong_type(void **state) {
        Fixture f;

        fixture_open(&f, SOCK_SEQPACKET, 8);
        assert_int_equal(handoff_connect_type(&f.address, f.len, SOCK_STREAM), -EPROTOTYPE);
        fixture_close(&f);
        assert_int_equal(handoff_connect_type(&f.address, f.len, SOCK_STREAM), -ENOENT);
}

/* Sends @n_bytes and @n_fds copies of stderr's descriptor in one message, as a hostile broker would. */
static void send_raw(int fd, const char *bytes, size_t n_bytes, size_t n_fds) {
        union {
                struct cmsghdr header;
                char buffer[CMSG_SPACE(sizeof(int) * 253)];
        } control = {};
        struct iovec iov = { .iov_base = (void *) (uintptr_t) bytes, .iov_len = n_bytes };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
        int stderr_fd = STDERR_FILENO;

        if (n_fds > 0) {
                message.msg_control = control.buffer;
                message.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
                CMSG_FIRSTHDR(&message)->cmsg_level = SOL_SOCKET;
                CMSG_FIRSTHDR(&message)->cmsg_type = SCM_RIGHTS;
                CMSG_FIRSTHDR(&message)->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
                for (size_t i = 0; i < n_fds; i++)
                        memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)) + i * sizeof(int), &stderr_fd, sizeof(int));
        }

        assert_int_equal(sendmsg(fd, &message, MSG_NOSIGNAL), (ssize_t) n_bytes);
}

/* A message that is not one 0x00 with one descriptor is refused, and no descriptor stays open (TEST() checks). */
static void test_receive_strict(void **state) {
        static const struct {
                const char *bytes;
                size_t n_bytes, n_fds;
        } messages[] = {
                { "\0", 1, 0 }, { "\0", 1, 2 }, { "\0", 1, 8 }, { "\0", 1, 9 }, { "\0", 1, 253 },
                { "x", 1, 1 },  { "\0\0", 2, 1 }, { "\0x", 2, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(messages); i++) {
                int pair[2], received = -EBADF;

                assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
                send_raw(pair[0], messages[i].bytes, messages[i].n_bytes, messages[i].n_fds);
                assert_int_equal(handoff_receive(pair[1], &received), HANDOFF_INVALID);
                assert_int_equal(received, -EBADF);

                fd_close(pair[0]);
                assert_int_equal(handoff_receive(pair[1], &received), HANDOFF_CLOSED);
                fd_close(pair[1]);
        }
}

/* At RLIMIT_NOFILE the receiver learns that a descriptor was lost. */
static void test_receive_without_room(void **state) {
        struct rlimit limit, none;
        int pair[2], received = -EBADF;

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        send_raw(pair[0], "\0", 1, 1);

        assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
        none = (struct rlimit){ (rlim_t) lowest_free_fd(), limit.rlim_max };
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        assert_int_equal(handoff_receive(pair[1], &received), HANDOFF_NO_FD);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);

        fd_close(pair[0]);
        fd_close(pair[1]);
}

/* Sockets whose protocol has the number of TCP's, or that have the same type, are no clients. */
static void test_check_client(void **state) {
        static const struct {
                int family, type, protocol;
                bool listens;
                int expected;
        } cases[] = {
                { AF_INET, SOCK_STREAM, 0, false, 0 },
                { AF_INET6, SOCK_STREAM, 0, false, 0 },
                { AF_INET, SOCK_STREAM, IPPROTO_MPTCP, false, 0 },
                { AF_INET, SOCK_STREAM, 0, true, HANDOFF_NO_CLIENT },
                { AF_INET6, SOCK_STREAM, 0, true, HANDOFF_NO_CLIENT },
                { AF_INET, SOCK_STREAM, IPPROTO_MPTCP, true, HANDOFF_NO_CLIENT },
                { AF_INET, SOCK_DGRAM, 0, false, HANDOFF_NO_CLIENT },
                { AF_INET, SOCK_RAW, IPPROTO_TCP, false, HANDOFF_NO_CLIENT },
                { AF_INET6, SOCK_RAW, IPPROTO_TCP, false, HANDOFF_NO_CLIENT },
                { AF_NETLINK, SOCK_RAW, IPPROTO_TCP, false, HANDOFF_NO_CLIENT }, /* the number of NETLINK_XFRM */
                { AF_UNIX, SOCK_STREAM, 0, false, HANDOFF_NO_CLIENT },
        };
        int fd;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                fd = socket(cases[i].family, cases[i].type | SOCK_CLOEXEC, cases[i].protocol);
                if (fd < 0)
                        continue; /* no privilege, or not in this kernel */
                if (cases[i].listens)
                        assert_int_equal(listen(fd, 1), 0);
                assert_int_equal(handoff_check_client(fd, /* with_unix= */ false), cases[i].expected);
                fd_close(fd);
        }

        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        assert_int_equal(handoff_check_client(fd, /* with_unix= */ true), HANDOFF_NO_CLIENT);
        fd_close(fd);
}

TEST_MAIN(TEST(test_check_client),
          TEST(test_taken_by_close),
          TEST(test_taken_by_queue),
          TEST(test_reset),
          TEST(test_reset_in_backlog),
          TEST(test_answers),
          TEST(test_backlog_full),
          TEST(test_wrong_type),
          TEST(test_receive_strict),
          TEST(test_receive_without_room))
