/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Handing clients back to a socket like the broker's return socket. */

#include "handoff-fixture.h"

#include "handoff/scope.h"
#include "libfdpass/fdpass.h"

#define S(literal) SLICE_LITERAL(literal)

/* The broker's end of one handoff. @m points into its bytes. */
typedef struct Returned {
        uint8_t bytes[FDPASS_MESSAGE_MAX];
        Message m;
        int client_fd;
} Returned;

static void take_back(const Fixture *f, Returned *ret) {
        _cleanup_close_ int conn = accept4(f->fd, NULL, NULL, SOCK_CLOEXEC);
        size_t n;

        assert_true(conn >= 0);
        assert_int_equal(handoff_receive_message(conn, MSG_DONTWAIT, ret->bytes, sizeof(ret->bytes), &n,
                                                 &ret->client_fd), 0);
        assert_int_equal(message_decode(ret->bytes, n, &ret->m), 0);
        assert_int_equal(handoff_check_client(ret->client_fd, /* with_unix= */ false), 0);
}

static void assert_slice(Slice got, Slice expected) {
        assert_int_equal(got.n, expected.n);
        if (got.n > 0)
                assert_memory_equal(got.p, expected.p, got.n);
}

/* The shortest message: it parks the client. */
static void test_park(void **state) {
        static Returned back;
        int client[2];
        Fixture f;

        fixture_open(&f, SOCK_SEQPACKET, 0, 8);
        client_pair(client);
        assert_int_equal(fd_nonblock(client[1], true), 0);

        assert_int_equal(fdpass_return(client[1], f.path, NULL, NULL, 0), 0);
        take_back(&f, &back);
        assert_slice(back.m.name, (Slice){});
        assert_slice(back.m.data, (Slice){});
        assert_int_equal(message_address_length(&back.m.source), 0);
        assert_false(fcntl(back.client_fd, F_GETFL) & O_NONBLOCK);
        assert_connected(client[0], back.client_fd);

        fd_close(back.client_fd);
        pair_close(client);
        fixture_close(&f);
}

static void test_to_route(void **state) {
        static Returned back;
        int client[2];
        Fixture f;

        fixture_open(&f, SOCK_SEQPACKET, 0, 8);
        client_pair(client);

        assert_int_equal(fdpass_return(client[1], f.path, "stream", "user=7", 6), 0);
        take_back(&f, &back);
        assert_slice(back.m.name, S("stream"));
        assert_slice(back.m.data, S("user=7"));

        fd_close(back.client_fd);
        pair_close(client);
        fixture_close(&f);
}

/* A client with all facts is handed back: the facts that concern the worker alone are not passed on. */
static void test_about(void **state) {
        struct fdpass_return_args args = { .size = sizeof(args), .name = "stream", .data = "new", .data_len = 3 };
        static Returned back;
        Message m = MESSAGE_NULL;
        struct fdpass *about;
        int client[2], conn, fd;
        Fixture f;
        size_t n;

        m.source.in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = 1 };
        m.destination.in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = 2 };
        m.alpn = S("h2");
        m.authority = S("example.org");
        m.unique_id = S("id");
        m.ssl = S("\1\0\0\0\0");
        m.route = S("auth.socket");
        m.listener = S("https");
        m.data = S("old");
        m.proxy = S("\xea\0\5\1vpce" "\xe0\0\3gcp");
        m.deadline = 1;
        m.protocol = S("http");
        m.consumed = S("GET / HTTP/1.1\r\n\r\n");

        client_pair(client);
        fixture_open(&f, SOCK_SEQPACKET, 0, 8);
        conn = fixture_connect(&f);
        assert_int_equal(send_message(conn, &m, client[1]), 0);
        fd = fdpass_accept(f.fd, SOCK_CLOEXEC, &about);
        assert_true(fd >= 0);

        args.path = f.path;
        args.about = about;
        args.consumed = fdpass_consumed(about, &n);
        args.consumed_len = n;
        assert_int_equal(fdpass_return_with(fd, &args), 0);
        fdpass_free(about);
        fd_close(fd);

        take_back(&f, &back);
        assert_memory_equal(&back.m.source, &m.source, sizeof(m.source));
        assert_memory_equal(&back.m.destination, &m.destination, sizeof(m.destination));
        assert_slice(back.m.alpn, m.alpn);
        assert_slice(back.m.authority, m.authority);
        assert_slice(back.m.unique_id, m.unique_id);
        assert_slice(back.m.ssl, m.ssl);
        assert_slice(back.m.proxy, m.proxy);
        assert_slice(back.m.listener, m.listener);
        assert_slice(back.m.protocol, m.protocol);
        assert_slice(back.m.consumed, m.consumed);
        assert_slice(back.m.data, S("new"));
        assert_slice(back.m.name, S("stream"));
        assert_slice(back.m.route, (Slice){});
        assert_true(back.m.deadline == MESSAGE_NO_DEADLINE);

        fd_close(back.client_fd);
        fd_close(conn);
        pair_close(client);
        fixture_close(&f);
}

/* After an error the client is the caller's, with its flags unchanged. */
static void assert_refused(int client_fd, const struct fdpass_return_args *args, int expected) {
        assert_int_equal(fd_nonblock(client_fd, true), 0);
        assert_int_equal(fdpass_return_with(client_fd, args), expected);
        assert_true(fcntl(client_fd, F_GETFL) & O_NONBLOCK);
}

static void test_errors(void **state) {
        static char bytes[FDPASS_CONSUMED_MAX + 1];
        struct fdpass_return_args args = { .size = sizeof(args) }, bad;
        int client[2], full;
        Fixture f;

        memset(bytes, 'x', sizeof(bytes));
        bytes[sizeof(bytes) - 1] = 0;
        client_pair(client);
        fixture_open(&f, SOCK_SEQPACKET, 0, 0);
        args.path = f.path;

        bad = args;
        bad.size--;
        assert_refused(client[1], &bad, -EINVAL);

        bad = args;
        bad.name = "";
        assert_refused(client[1], &bad, -EINVAL);
        bad.name = "a\nb";
        assert_refused(client[1], &bad, -EINVAL);
        bad.name = bytes;
        assert_refused(client[1], &bad, -EMSGSIZE);

        bad = args;
        bad.data = bytes;
        bad.data_len = FDPASS_DATA_MAX + 1;
        assert_refused(client[1], &bad, -EMSGSIZE);

        bad = args;
        bad.consumed = bytes;
        bad.consumed_len = FDPASS_CONSUMED_MAX + 1;
        assert_refused(client[1], &bad, -EMSGSIZE);

        bad = args;
        bad.path = bytes;
        assert_refused(client[1], &bad, -ENAMETOOLONG);
        bad.path = "/nowhere/return.sock";
        assert_refused(client[1], &bad, -ENOENT);

        full = fixture_connect(&f); /* a backlog of 0 has room for one */
        assert_refused(client[1], &args, -EAGAIN);
        fd_close(full);
        fixture_close(&f);

        fixture_open(&f, SOCK_STREAM, 0, 8);
        assert_refused(client[1], &args, -EPROTOTYPE);
        fixture_close(&f);

        pair_close(client);
}

/* Clients over AF_UNIX are refused, because the kernel has to look for cycles among such sockets in flight. */
static void test_no_clients(void **state) {
        int pair[2], p[2];
        Fixture f;

        fixture_open(&f, SOCK_SEQPACKET, 0, 8);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        assert_int_equal(pipe2(p, O_CLOEXEC), 0);

        assert_int_equal(fdpass_return(pair[0], f.path, NULL, NULL, 0), -EPROTOTYPE);
        assert_int_equal(fdpass_return(p[0], f.path, NULL, NULL, 0), -EPROTOTYPE);
        assert_int_equal(fdpass_return(-1, f.path, NULL, NULL, 0), -EBADF);

        pair_close(pair);
        pair_close(p);
        fixture_close(&f);
}

/* The default path is the broker's. Perhaps none runs on this machine. */
static void test_default_path(void **state) {
        int client[2], r;

        if (access("/run/fdpass/return.sock", F_OK) >= 0)
                skip();

        client_pair(client);
        r = fdpass_return(client[1], NULL, NULL, NULL, 0);
        assert_int_equal(r, -ENOENT);
        pair_close(client);
}

/* Hands a client over whose scope has a seal. Returns the broker's end of the connection. */
static int give(const Fixture *f, struct fdpass_receiver *r, int client_fd, int *ret_fd, struct fdpass **ret) {
        int conn = fixture_connect(f);
        Message m = MESSAGE_NULL;
        ScopeWriter w;

        scope_begin(&w, 1);
        m.scope = scope_value(&w);
        m.seal = S("12345678");
        m.persistent_max = 4;
        assert_int_equal(send_message(conn, &m, client_fd), 0);
        *ret_fd = fdpass_receive(r, SOCK_CLOEXEC, ret);
        assert_true(*ret_fd >= 0);
        return conn;
}

/* The receiver wakes the program, has no client, and tells this. */
static void assert_told(struct fdpass_receiver *r, int is_drained) {
        struct pollfd p = { .fd = fdpass_receiver_fd(r), .events = POLLIN };
        struct fdpass *none;

        assert_int_equal(poll(&p, 1, 0), 1);
        assert_int_equal(fdpass_receive(r, SOCK_CLOEXEC, &none), -EAGAIN);
        assert_int_equal(poll(&p, 1, 0), 0);
        assert_int_equal(fdpass_draining(), is_drained);
}

/* The broker tells of drains: again, with other bytes, long ones and descriptors between, and until it ends. */
static void test_told(void **state) {
        static const uint8_t strange[] = { FDPASS_ANSWER_TAKEN, FDPASS_ANSWER_ERROR, 0x00, 0x14, 0xff };
        uint8_t bytes[4096] = { FDPASS_TELL_DRAINED };
        int client[2], conns[2], fd;
        struct fdpass_receiver *r;
        struct fdpass *about;
        Fixture f;

        fixture_open(&f, SOCK_SEQPACKET, SOCK_NONBLOCK, 8);
        assert_int_equal(fdpass_receiver_new(f.fd, 8, &r), 0);
        client_pair(client);
        conns[0] = give(&f, r, client[1], &fd, &about);
        assert_int_equal(recv(conns[0], bytes, sizeof(bytes), MSG_DONTWAIT), FDPASS_ANSWER_PERSISTENT_SIZE);
        assert_int_equal(shutdown(client[0], SHUT_WR), 0);
        assert_int_equal(fdpass_next(fd, about, NULL), FDPASS_NEXT_END); /* it asks whose requests are */
        fd_close(fd);
        fdpass_free(about);

        conns[1] = give(&f, r, client[1], &fd, &about);
        assert_int_equal(recv(conns[1], bytes, sizeof(bytes), MSG_DONTWAIT), 2);
        assert_memory_equal(bytes, ((const uint8_t[]){ FDPASS_ANSWER_RETURN, FDPASS_RETURN_TELL }), 2);
        assert_int_equal(send(conns[1], bytes, 1, 0), 1); /* the broker is ready */
        assert_int_equal(fdpass_receive(r, SOCK_CLOEXEC, &(struct fdpass *){ NULL }), -EAGAIN);
        assert_int_equal(fdpass_draining(), 0);

        for (size_t i = 0; i < ELEMENTSOF(strange); i++)
                assert_int_equal(send(conns[1], &strange[i], 1, 0), 1);
        bytes[0] = 0x99;
        assert_int_equal(send(conns[1], bytes, sizeof(bytes), 0), sizeof(bytes));
        send_raw(conns[1], bytes, 1, client[0], 3);
        assert_told(r, 0);

        for (size_t i = 0; i < 50; i++)
                assert_int_equal(send(conns[1], &(uint8_t){ FDPASS_TELL_DRAINED }, 1, 0), 1);
        assert_told(r, 1);
        assert_int_equal(send(conns[1], &(uint8_t){ FDPASS_TELL_UNDRAINED }, 1, 0), 1);
        assert_told(r, 0);
        assert_int_equal(send(conns[1], &(uint8_t){ FDPASS_TELL_DRAINED }, 1, 0), 1);
        conns[1] = fd_close(conns[1]);
        assert_told(r, 0);

        fd_close(fd);
        fdpass_free(about);
        fdpass_receiver_free(r);
        fd_close(conns[0]);
        pair_close(client);
        fixture_close(&f);
}

TEST_MAIN(TEST(test_park),
          TEST(test_to_route),
          TEST(test_about),
          TEST(test_errors),
          TEST(test_no_clients),
          TEST(test_default_path),
          TEST(test_told))
