/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Flushed clients that go on to another worker, or to the next process. */

#include "flush-fixture.h"

/* From one worker to the next: flushed once, wherever its head was read. */
static void test_handed_back(void **state) {
        int a = listen_at("a", 8), b = listen_type_at("b", SOCK_SEQPACKET, 8), pair[2], r;
        Message m;
        char got[65536];

        r = listen_type_at("return", SOCK_SEQPACKET, 8);
        assert_int_equal(handback_listen(t.broker, "return", r), 0);
        add_tcp("tcp");
        USE({ .unit = "a.socket", .worker = "a", .name = "stream", .flusher = &flusher_flush },
            { .unit = "b.socket", .worker = "b", .transport = TRANSPORT_SEQPACKET, .name = "whole" },
            { .unit = "c.socket", .worker = "a", .name = "bare" },
            { .unit = "d.socket", .worker = "b", .transport = TRANSPORT_SEQPACKET });

        /* The worker has read the head and gives it back: it is answered, and the body is the next one's. */
        pair[0] = dial_request("HELLO");
        pair[1] = take_with_message(b, &m);
        hand_back_named(pair[1], "stream", HEAD, 0, FDPASS_ANSWER_TAKEN);
        serve(take(a), "HELLO", "body");
        expect_served(pair[0], "body");

        /* Half of it is still in the socket. */
        pair[0] = dial_request("Host: a\r\n\r\nHELLO");
        pair[1] = take_with_message(b, &m);
        hand_back_named(pair[1], "stream", "GET / HTTP/1.1\r\n", 0, FDPASS_ANSWER_TAKEN);
        serve(take(a), "HELLO", "body");
        expect_served(pair[0], "body");

        /* It was flushed before: not again, and who knows nothing of that does not get it. */
        pair[0] = dial_request("HELLO");
        pair[1] = take_with_message(b, &m);
        hand_back_named(pair[1], "stream", HEAD, 200, FDPASS_ANSWER_TAKEN);
        serve(take(a), "HELLO", "body");
        assert_true(read_all(pair[0], got));
        assert_string_equal(got, "body");
        fd_close(pair[0]);

        pair[0] = dial_request("HELLO");
        pair[1] = take_with_message(b, &m);
        hand_back_named(pair[1], "whole", HEAD, 203, FDPASS_ANSWER_TAKEN);
        serve(take_with_message(b, &m), "HELLO", "body");
        assert_int_equal(m.status, 203);
        assert_int_equal(m.head_length, strlen(HEAD));
        fd_close(pair[0]);

        pair[0] = dial_request("HELLO");
        pair[1] = take_with_message(b, &m);
        hand_back_named(pair[1], "bare", HEAD, 200, FDPASS_ANSWER_TAKEN);
        assert_false(read_all(pair[0], got));
        fd_close(pair[0]);
        expect_empty_broker();

        /* There is no next request behind a response that ends with the connection. */
        pair[0] = dial_request("HELLO");
        pair[1] = take_with_message(b, &m);
        hand_back_named(pair[1], NULL, "", 200, FDPASS_ANSWER_ERROR);
        fd_close(pair[0]);
        assert_int_equal(n_flushed(), 2);

        /* No request, no response to it. */
        pair[0] = dial_request("HELLO");
        pair[1] = take_with_message(b, &m);
        hand_back_named(pair[1], "stream", "", 0, FDPASS_ANSWER_TAKEN);
        WAIT_FOR(n_refused(REFUSAL_WORKER) == 2);
        fd_close(pair[0]);
        expect_empty_broker();
        fd_close(a);
        fd_close(b);
}

/* A broker that stops gives a flushed client that waits for a worker to the next one, which does not flush it again. */
static void test_restart(void **state) {
        int a = listen_at("a", 8), r, fd, conn;

        r = listen_type_at("return", SOCK_SEQPACKET, 8);
        assert_int_equal(handback_listen(t.broker, "return", fcntl(r, F_DUPFD_CLOEXEC, 0)), 0);
        add_tcp("tcp");
        USE({ .unit = "a.socket", .worker = "a", .max_pending = 1, .flusher = &flusher_flush });

        fd = dial_request(HEAD "HELLO");
        conn = accept_one(a);
        WAIT_FOR(has_event(fd, POLLIN) && has_event(conn, POLLIN));
        fd_close(conn); /* unread: it waits now, because the worker is left alone for a moment */
        WAIT_FOR(n_unread() == 1);

        /* Its backlog is as good as full to a broker that can't connect. */
        fd_close(a);
        a = -EBADF;
        broker_stop(t.broker);
        assert_int_equal(n_handed_over(), 1);
        t.broker = broker_free(t.broker);
        t.event = sd_event_unref(t.event);

        assert_true(sd_event_new(&t.event) >= 0);
        assert_int_equal(broker_new(t.event, t.log, N_FDS, &t.broker), 0);
        assert_int_equal(broker_add_listener(t.broker, "tcp", listen_at("public", 1)), 0);
        assert_int_equal(handback_listen(t.broker, "return", r), 0);
        a = listen_at("a", 8);
        USE({ .unit = "a.socket", .worker = "a", .flusher = &flusher_flush, .receipt = RECEIPT_BY_ACK });

        /* Bytes that were read and written earlier do not keep a second worker from getting it. */
        conn = accept_one(a);
        fd_close(receive_client(conn));
        fd_close(conn);
        conn = accept_one(a);
        int client = receive_client(conn);
        handoff_answer(conn, FDPASS_ANSWER_TAKEN);
        fd_close(conn);
        serve(client, "HELLO", "body");
        expect_empty_broker();
        assert_int_equal(n_flushed(), 0);
        expect_served(fd, "body");
        fd_close(a);
}

TEST_MAIN(BROKER_TEST(test_handed_back),
          BROKER_TEST(test_restart))
