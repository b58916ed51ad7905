/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Clients that other senders hand over, one on each stream connection, as mod_proxy_fdpass does. */

#include "handback-fixture.h"

/* Sends as httpd's mod_proxy_fdpass: it has read the head and begun the response, and the socket does not block. */
static int send_as_httpd(int fd) {
        char head[256];
        int conn;

        WAIT_FOR(has_event(fd, POLLIN));
        assert_true(recv(fd, head, sizeof(HEAD_A) - 1, 0) > 0);
        conn = connect_type("return", SOCK_STREAM);
        say(fd, "HTTP/1.1 200 OK\r\n\r\n");
        assert_int_equal(fd_nonblock(fd, true), 0);
        assert_int_equal(handoff_send(conn, fd), 0);
        fd_close(fd);
        return conn;
}

static void start_stream(void) {
        int fd = listen_type_at("return", SOCK_STREAM, 128);

        assert_int_equal(handback_listen(t.broker, "return-web", fd), 0);
        USE({ .unit = "a.socket", .worker = "a", .host = "example.org", .transport = TRANSPORT_SEQPACKET },
            { .unit = "b.socket", .worker = "b", .listener = "return-web", .transport = TRANSPORT_SEQPACKET });
}

/* It goes to the route that names the listener, at once, although others ask for a head; and it blocks again. */
static void test_stream(void **state) {
        int b = listen_type_at("b", SOCK_SEQPACKET, 8), client, fd, conn;

        start_stream();
        assert_false(listener_needs_head("return-web"));
        tcp_pair(&client, &fd);
        say(client, HEAD_A "body");
        conn = send_as_httpd(fd);
        fd_close(conn); /* httpd reads no answer */
        assert_true(slice_equal(take_message(b, "body").listener, SLICE_LITERAL("return-web")));
        WAIT_FOR(n_in_broker() == 0);
        fd_close(client);
        fd_close(b);
}

/* A sender that has read nothing: where no route names the listener, clients are routed by what they say. */
static void test_stream_with_head(void **state) {
        int a = listen_type_at("a", SOCK_SEQPACKET, 8), client, fd, conn;

        assert_int_equal(handback_listen(t.broker, "return-web", listen_type_at("return", SOCK_STREAM, 8)), 0);
        USE({ .unit = "a.socket", .worker = "a", .host = "example.org", .transport = TRANSPORT_SEQPACKET });
        tcp_pair(&client, &fd);
        say(client, HEAD_A);
        conn = connect_type("return", SOCK_STREAM);
        assert_int_equal(handoff_send(conn, fd), 0);
        fd_close(fd);
        (void) take_message(a, HEAD_A);
        expect_answer(conn, FDPASS_ANSWER_TAKEN);
        fd_close(client);
        fd_close(a);
}

/* Anything but the one byte and the one client is thrown away, with its connection. */
static void test_stream_garbage(void **state) {
        int client, fd, pair[2], conn;

        start_stream();
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        conn = connect_type("return", SOCK_STREAM);
        assert_int_equal(handoff_send(conn, pair[0]), 0);
        expect_answer(conn, FDPASS_ANSWER_ERROR);
        fd_close(pair[0]);
        fd_close(pair[1]);

        tcp_pair(&client, &fd);
        conn = connect_type("return", SOCK_STREAM);
        assert_int_equal(handoff_send_message(conn, SLICE_LITERAL("ab"), (Slice){}, fd), 0);
        expect_answer(conn, FDPASS_ANSWER_ERROR);
        fd_close(fd);
        fd_close(client);

        conn = connect_type("return", SOCK_STREAM);
        say(conn, "\n");
        expect_answer(conn, FDPASS_ANSWER_ERROR);
        assert_int_equal(n_in_broker(), 0);
}

/* With the table full, clients stay in their connections until there is room: their senders would not hear a no. */
static void test_stream_waits_for_room(void **state) {
        int b = listen_type_at("b", SOCK_SEQPACKET, 8), client, fd, conn;

        start_stream();
        set_max_clients(0);
        tcp_pair(&client, &fd);
        say(client, HEAD_A);
        conn = send_as_httpd(fd);
        while (broker_turn(t.broker, 0) > 0)
                ;
        assert_int_equal(n_returned(), 0);

        set_max_clients(8);
        (void) take_message(b, "");
        expect_answer(conn, FDPASS_ANSWER_TAKEN);
        fd_close(client);
        fd_close(b);
}

/* Connections that bring nothing take the places of others for a while only. */
static void test_silent_senders(void **state) {
        int b = listen_type_at("b", SOCK_SEQPACKET, 8), silent[80], client, fd, conn;

        start_stream();
        for (size_t i = 0; i < ELEMENTSOF(silent); i++)
                silent[i] = connect_type("return", SOCK_STREAM);
        tcp_pair(&client, &fd);
        say(client, HEAD_A);
        conn = send_as_httpd(fd);
        (void) take_message(b, "");

        fd_close(conn);
        for (size_t i = 0; i < ELEMENTSOF(silent); i++)
                fd_close(silent[i]);
        fd_close(client);
        fd_close(b);
}

TEST_MAIN(BROKER_TEST(test_stream),
          BROKER_TEST(test_stream_with_head),
          BROKER_TEST(test_stream_garbage),
          BROKER_TEST(test_stream_waits_for_room),
          BROKER_TEST(test_silent_senders))
