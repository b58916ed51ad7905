/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The system calls that the library makes for a client. The numbers are limits: fewer are fine. */

#include "call-count.h"
#include "handoff-fixture.h"

#include "libfdpass/fdpass.h"

/* The broker has a user of its own, so its clients come from another user than the worker's. */
#define BROKER 4711

#define N_BATCH 4

typedef struct Case {
        Fixture f;
        bool with_object;
        int conns[2];
} Case;

static Message tcp_message(void) {
        Message m = MESSAGE_NULL;

        m.source.in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = 7, .sin_addr.s_addr = htonl(0xc0000207) };
        m.destination.in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = 80, .sin_addr.s_addr = htonl(0xc6336401) };
        return m;
}

/* SO_PEERCRED is the user of the time of connect(2). */
static void case_connect(Case *c, uid_t user) {
        if (user != geteuid()) {
                assert_int_equal(chown(c->f.path, user, (gid_t) -1), 0);
                assert_int_equal(seteuid(user), 0);
        }
        for (size_t i = 0; i < ELEMENTSOF(c->conns); i++)
                c->conns[i] = fixture_connect(&c->f);
        assert_int_equal(seteuid(getuid()), 0);
}

static void case_open(Case *c, int type, bool with_object, uid_t user, int client_fd) {
        const Message m = tcp_message();

        c->with_object = with_object;
        fixture_open(&c->f, type, SOCK_NONBLOCK, 8);
        case_connect(c, user);
        for (size_t i = 0; i < ELEMENTSOF(c->conns); i++)
                assert_int_equal(type == SOCK_STREAM ? handoff_send(c->conns[i], client_fd)
                                                     : send_message(c->conns[i], &m, client_fd), 0);
}

static void case_close(Case *c) {
        for (size_t i = 0; i < ELEMENTSOF(c->conns); i++)
                fd_close(c->conns[i]);
        fixture_close(&c->f);
}

static bool take(Case *c) {
        struct fdpass *f = NULL;
        int fd = fdpass_accept(c->f.fd, SOCK_CLOEXEC | SOCK_NONBLOCK, c->with_object ? &f : NULL);

        fdpass_free(f);
        return fd >= 0;
}

/* The first client finds out what the socket is, and the second one counts. */
static bool take_two(void *data) {
        bool is_right;

        if (!take(data))
                return false;

        call_mark();
        is_right = take(data);
        call_mark();
        return is_right;
}

static void count_accept(int type, bool with_object, uid_t user, unsigned max, const char *what) {
        CallCount count;
        int client[2];
        Case c;

        client_pair(client);
        case_open(&c, type, with_object, user, client[1]);
        count_calls(take_two, &c, &count);
        assert_calls(&count, max, what);
        case_close(&c);
        pair_close(client);
}

static void test_accept(void **state) {
        const uid_t users[] = { geteuid(), BROKER };

        for (size_t i = 0; i < (geteuid() == 0 ? ELEMENTSOF(users) : 1); i++) {
                count_accept(SOCK_SEQPACKET, false, users[i], 8, "SEQPACKET");
                count_accept(SOCK_SEQPACKET, true, users[i], 8, "SEQPACKET, with the facts");
                count_accept(SOCK_STREAM, false, users[i], 8, "stream");
                /* The form has no addresses, so the kernel is asked for two. */
                count_accept(SOCK_STREAM, true, users[i], 10, "stream, with the facts");
        }
}

static void send_batch(int conn_fd, int client_fd) {
        const Message m = tcp_message();
        uint8_t headers[FDPASS_HEADER_MAX];
        int fds[N_BATCH];
        size_t at = 0;

        for (size_t i = 0; i < N_BATCH; i++) {
                size_t n;

                assert_int_equal(message_encode(&m, headers + at, sizeof(headers) - at, &n), 0);
                at += n;
                fds[i] = client_fd;
        }
        assert_int_equal(handoff_send_batch(conn_fd, (Slice){ headers, at }, fds, N_BATCH), 0);
}

typedef struct PersistentCase {
        Fixture f;
        int conn_fd;
        int client_fd;
} PersistentCase;

/* The broker may send on a connection as soon as it is persistent, so the child is both. */
static bool receive_batch(void *data) {
        PersistentCase *c = data;
        struct fdpass_receiver *r;
        struct fdpass *f = NULL;
        bool is_right = true;

        if (fdpass_receiver_new(c->f.fd, 64, &r) < 0 || fdpass_receive(r, SOCK_CLOEXEC | SOCK_NONBLOCK, &f) < 0)
                return false;
        fdpass_free(f);

        send_batch(c->conn_fd, c->client_fd);
        call_mark();
        for (size_t i = 0; i < N_BATCH; i++) {
                is_right = is_right && fdpass_receive(r, SOCK_CLOEXEC | SOCK_NONBLOCK, &f) >= 0;
                fdpass_free(f);
        }
        call_mark();
        return is_right;
}

/* Three calls a client, and for the message that brings the batch epoll_wait(2), recvmsg(2) and the answer. */
static void test_persistent(void **state) {
        Message m = tcp_message();
        PersistentCase c;
        CallCount count;
        int client[2];

        m.persistent_max = N_BATCH;
        fixture_open(&c.f, SOCK_SEQPACKET, 0, 8);
        client_pair(client);
        c.client_fd = client[1];
        c.conn_fd = fixture_connect(&c.f);
        assert_int_equal(send_message(c.conn_fd, &m, client[1]), 0);

        count_calls(receive_batch, &c, &count);
        assert_calls(&count, 3 + 3 * N_BATCH, "persistent connection");

        fd_close(c.conn_fd);
        pair_close(client);
        fixture_close(&c.f);
}

TEST_MAIN(TEST(test_accept), TEST(test_persistent))
