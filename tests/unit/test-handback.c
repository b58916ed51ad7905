/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Clients that workers hand back. */

#include "handback-fixture.h"

/* A worker sends the client on to another one, with what it has to say and what it has read. */
static void test_named_route(void **state) {
        int b = listen_type_at("b", SOCK_SEQPACKET, 8), client, fd;
        Message m = MESSAGE_NULL;

        start_handback(listen_type_at("return", SOCK_SEQPACKET, 8));
        tcp_pair(&client, &fd);
        say(client, "rest");
        m.name = SLICE_LITERAL("stream");
        m.data = SLICE_LITERAL("user=42");
        m.consumed = SLICE_LITERAL(HEAD_A);
        expect_answer(hand_back(fd, m), FDPASS_ANSWER_TAKEN);

        m = take_message(b, "rest");
        assert_true(slice_equal(m.data, SLICE_LITERAL("user=42")));
        assert_true(slice_equal(m.consumed, SLICE_LITERAL(HEAD_A)));
        assert_true(slice_equal(m.authority, SLICE_LITERAL("example.org")));
        assert_true(slice_equal(m.route, SLICE_LITERAL("b.socket")));
        assert_int_equal(m.name.n, 0);
        WAIT_FOR(n_in_broker() == 0);

        fd_close(client);
        fd_close(b);
}

static uint8_t bytes[FDPASS_MESSAGE_MAX]; /* read by a worker */

/* Reads the whole message at @conn, with the client's socket. */
static int receive_on(int conn) {
        int client = -EBADF;
        size_t n;

        assert_int_equal(handoff_receive_message(conn, 0, bytes, sizeof(bytes), &n, &client), 0);
        return client;
}

/*
 * Bytes that the first worker read or wrote do not count against the next one. If the next one declines, or dies,
 * another worker gets the client. It does not if the next one has written to it.
 */
static void test_untouched_by_next(void **state) {
        int b = listen_type_at("b", SOCK_SEQPACKET, 8), client, fd, conn;
        Message m = MESSAGE_NULL;

        assert_int_equal(handback_listen(t.broker, "return", listen_type_at("return", SOCK_SEQPACKET, 8)), 0);
        USE({ .unit = "b.socket", .worker = "b", .transport = TRANSPORT_SEQPACKET, .name = "stream", .receipt = RECEIPT_BY_ACK });
        tcp_pair(&client, &fd);
        say(client, HEAD_A);
        assert_int_equal(recv(fd, bytes, sizeof(bytes), 0), sizeof(HEAD_A) - 1);
        say(fd, "HTTP/1.1 100 Continue\r\n\r\n");
        m.name = SLICE_LITERAL("stream");
        m.consumed = SLICE_LITERAL(HEAD_A);
        expect_answer(hand_back(fd, m), FDPASS_ANSWER_TAKEN);

        for (unsigned i = 0; i < 3; i++) {
                WAIT_FOR(has_event(b, POLLIN));
                conn = accept4(b, NULL, NULL, SOCK_CLOEXEC);
                fd = receive_on(conn);
                if (i == 0)
                        handoff_answer(conn, FDPASS_ANSWER_REFUSED);
                else if (i == 2)
                        say(fd, "HTTP/1.1 200 OK\r\n");
                fd_close(fd);
                fd_close(conn);
        }

        WAIT_FOR(n_in_broker() == 0);
        assert_int_equal(n_unread(), 2);
        assert_false(has_event(b, POLLIN));
        fd_close(client);
        fd_close(b);
}

/* A name that no route has is answered to the client; no other route gets it. */
static void test_unknown_name(void **state) {
        int a = listen_type_at("a", SOCK_SEQPACKET, 8), client, fd;
        Message m = MESSAGE_NULL;

        start_handback(listen_type_at("return", SOCK_SEQPACKET, 8));
        tcp_pair(&client, &fd);
        say(client, HEAD_A);
        m.name = SLICE_LITERAL("nobody");
        expect_answer(hand_back(fd, m), FDPASS_ANSWER_TAKEN);
        WAIT_FOR(has_event(client, POLLIN));
        assert_int_equal(n_refused(REFUSAL_NO_ROUTE), 1);

        fd_close(client);
        fd_close(a);
}

/* Hands a client of the listener "tcp" back as a worker over ListenStream= does, which knows no listener. */
static int hand_back_unnamed(int *ret_conn) {
        int worker = listen_at("stream", 8), client = connect_tcp(), conn, fd = -EBADF;

        USE({ .unit = "stream.socket", .worker = "stream" });
        WAIT_FOR(has_event(worker, POLLIN));
        conn = accept4(worker, NULL, NULL, SOCK_CLOEXEC);
        assert_int_equal(handoff_receive(conn, &fd), 0);
        fd_close(conn);
        WAIT_FOR(n_taken() >= 1);
        fd_close(worker);

        USE({ .unit = "a.socket", .worker = "a", .listener = "tcp", .transport = TRANSPORT_SEQPACKET },
            { .unit = "c.socket", .worker = "c", .listener = "return", .transport = TRANSPORT_SEQPACKET });
        *ret_conn = connect_return();
        send_message(*ret_conn, fd, MESSAGE_NULL);
        return client;
}

/* The socket's own address tells by which listener a client came if its message does not. */
static void test_listener_by_address(void **state) {
        int a = listen_type_at("a", SOCK_SEQPACKET, 8), c = listen_type_at("c", SOCK_SEQPACKET, 8), client, fd, conn;

        add_tcp("other");
        assert_int_equal(handback_listen(t.broker, "return", listen_type_at("return", SOCK_SEQPACKET, 8)), 0);
        add_tcp("tcp");
        client = hand_back_unnamed(&conn);
        expect_answer(conn, FDPASS_ANSWER_TAKEN);
        say(client, "x");
        assert_true(slice_equal(take_message(a, "x").listener, SLICE_LITERAL("tcp")));
        fd_close(client);

        /* No listener has this port. */
        tcp_pair(&client, &fd);
        conn = connect_return();
        send_message(conn, fd, MESSAGE_NULL);
        expect_answer(conn, FDPASS_ANSWER_TAKEN);
        say(client, "y");
        assert_true(slice_equal(take_message(c, "y").listener, SLICE_LITERAL("return")));

        fd_close(client);
        fd_close(a);
        fd_close(c);
}

/* A listener at the address itself comes before one at all addresses; a port of another listener does not count. */
static void test_compare_addresses(void **state) {
        static const struct {
                const char *host;
                uint16_t port;
        } bound[] = { { "0.0.0.0", 80 }, { "127.0.0.1", 80 }, { "0.0.0.0", 443 } };
        Listener listeners[ELEMENTSOF(bound)] = {};
        ClientAddress own = { .in = { .sin_family = AF_INET, .sin_port = htons(80) } };
        List list;

        list_init(&list);
        for (size_t i = 0; i < ELEMENTSOF(bound); i++) {
                listeners[i].address.in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(bound[i].port) };
                assert_int_equal(inet_pton(AF_INET, bound[i].host, &listeners[i].address.in.sin_addr), 1);
                list_append(&list, &listeners[i].link);
        }

        own.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        assert_ptr_equal(listener_find_address(&list, &own), &listeners[1]);
        own.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
        assert_ptr_equal(listener_find_address(&list, &own), &listeners[0]);
        own.in.sin_port = htons(443);
        assert_ptr_equal(listener_find_address(&list, &own), &listeners[2]);
        own.in.sin_port = htons(8080);
        assert_null(listener_find_address(&list, &own));
        own = (ClientAddress){ .in6 = { .sin6_family = AF_INET6, .sin6_port = htons(80) } };
        assert_null(listener_find_address(&list, &own));
}

/* A wrong descriptor and a wrong message are refused, and their descriptors are closed. */
static void test_refuses_wrong_ones(void **state) {
        int pair[2], conn;

        start_handback(listen_type_at("return", SOCK_SEQPACKET, 8));

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        expect_answer(hand_back(pair[0], MESSAGE_NULL), FDPASS_ANSWER_ERROR);
        fd_close(pair[1]);

        conn = connect_return();
        assert_int_equal(handoff_send_message(conn, SLICE_LITERAL("garbage"), (Slice){}, STDERR_FILENO), 0);
        expect_answer(conn, FDPASS_ANSWER_ERROR);

        conn = connect_return();
        say(conn, "no descriptor");
        expect_answer(conn, FDPASS_ANSWER_ERROR);
        assert_int_equal(n_in_broker(), 0);
}

/* The facts of a TLS stage and the client's id pass through the broker. HOPS counts each hand-back. */
static void test_facts_travel(void **state) {
        int b = listen_type_at("b", SOCK_SEQPACKET, 8), client, fd;
        Message m = MESSAGE_NULL;

        start_handback(listen_type_at("return", SOCK_SEQPACKET, 8));
        tcp_pair(&client, &fd);
        m.name = SLICE_LITERAL("stream");
        m.ssl = SLICE_LITERAL("\1\0\0\0\0");
        m.alpn = SLICE_LITERAL("h2");
        m.authority = SLICE_LITERAL("tls.example");
        m.unique_id = SLICE_LITERAL("somebody else's");
        expect_answer(hand_back(fd, m), FDPASS_ANSWER_TAKEN);
        m = take_message(b, "");
        assert_true(slice_equal(m.ssl, SLICE_LITERAL("\1\0\0\0\0")));
        assert_true(slice_equal(m.alpn, SLICE_LITERAL("h2")));
        assert_true(slice_equal(m.authority, SLICE_LITERAL("tls.example")));
        assert_true(slice_equal(m.unique_id, SLICE_LITERAL("somebody else's")));
        assert_int_equal(m.hops, 1);
        fd_close(client);

        tcp_pair(&client, &fd);
        m = MESSAGE_NULL;
        m.unique_id = SLICE_LITERAL("0000abcd-17");
        m.name = SLICE_LITERAL("stream");
        expect_answer(hand_back(fd, m), FDPASS_ANSWER_TAKEN);
        assert_true(slice_equal(take_message(b, "").unique_id, SLICE_LITERAL("0000abcd-17")));
        fd_close(client);

        tcp_pair(&client, &fd);
        m = MESSAGE_NULL;
        m.hops = 1;
        expect_answer(hand_back(fd, m), FDPASS_ANSWER_TAKEN);
        assert_int_equal(n_parked(), 0);
        assert_int_equal(n_in_broker(), 1);
        WAIT_FOR(n_refused(REFUSAL_HEAD_TIMEOUT) == 1);
        fd_close(client);
        fd_close(b);
}

/* Without a free descriptor the client stays with the worker, and the broker sleeps. */
static void test_no_descriptor(void **state) {
        int return_fd = listen_type_at("return", SOCK_SEQPACKET, 8), client, fd, conn, n_turns = 0;
        struct rlimit limit, none;

        start_handback(return_fd);
        tcp_pair(&client, &fd);
        conn = connect_return();
        WAIT_FOR(!has_event(return_fd, POLLIN));

        assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
        none = (struct rlimit){ .rlim_cur = 3, .rlim_max = limit.rlim_max };
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        send_back(conn, fd, MESSAGE_NULL);
        while (broker_turn(t.broker, 0) > 0)
                assert_true(++n_turns < 10);
        assert_int_equal(n_in_broker(), 0);

        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        expect_answer(conn, FDPASS_ANSWER_TAKEN);
        fd_close(client);
}

TEST_MAIN(BROKER_TEST(test_named_route),
          BROKER_TEST(test_untouched_by_next),
          BROKER_TEST(test_unknown_name),
          BROKER_TEST(test_listener_by_address),
          cmocka_unit_test(test_compare_addresses),
          BROKER_TEST(test_refuses_wrong_ones),
          BROKER_TEST(test_facts_travel),
          BROKER_TEST(test_no_descriptor))
