/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Clients that a stopping broker leaves to the next process. */

#include "handback-fixture.h"

static void next_process_with(int return_fd, size_t n_fds) {
        t.broker = broker_free(t.broker);
        t.event = sd_event_unref(t.event);
        assert_true(sd_event_new(&t.event) >= 0);
        assert_int_equal(broker_new(t.event, t.log, n_fds, &t.broker), 0);
        if (t.helper)
                assert_int_equal(broker_set_helper(t.broker, t.helper), 0);
        assert_int_equal(broker_add_listener(t.broker, "public", listen_at("public", 8)), 0);
        start_handback(return_fd);
}

static void next_process(int return_fd) {
        next_process_with(return_fd, N_FDS);
}

/* The next process serves a client with half a head, a parked one, and one in the queue. */
static void test_next_process(void **state) {
        int return_fd = listen_type_at("return", SOCK_SEQPACKET, 8), a = listen_type_at("a", SOCK_SEQPACKET, 0);
        int parked, half, waiting, fd, other, again = fcntl(return_fd, F_DUPFD_CLOEXEC, 3);

        start_handback(return_fd);
        retry_now("a");

        tcp_pair(&parked, &fd);
        expect_answer(hand_back(fd, MESSAGE_NULL), FDPASS_ANSWER_TAKEN);
        tcp_pair(&half, &fd);
        say(half, "GET /a HTTP/1.1\r\n");
        expect_answer(hand_back(fd, MESSAGE_NULL), FDPASS_ANSWER_TAKEN);

        other = connect_type("a", SOCK_SEQPACKET); /* the only place in the worker's backlog */
        tcp_pair(&waiting, &fd);
        say(waiting, HEAD_A);
        expect_answer(hand_back(fd, MESSAGE_NULL), FDPASS_ANSWER_TAKEN);
        WAIT_FOR(queued("a.socket") + queued("b.socket") == 1);
        WAIT_FOR(n_parked() == 1);

        WAIT_FOR(n_returned() == 3 && !is_judging());
        broker_stop(t.broker);
        assert_int_equal(n_handed_over(), 3);
        assert_int_equal(n_in_broker(), 0);
        next_process(again);

        fd_close(accept4(a, NULL, NULL, SOCK_CLOEXEC));
        fd_close(other);
        (void) take_message(a, HEAD_A); /* the one that waited */
        say(half, "Host: example.org\r\n\r\n");
        (void) take_message(a, "GET /a HTTP/1.1\r\nHost: example.org\r\n\r\n");
        say(parked, HEAD_A);
        (void) take_message(a, HEAD_A);
        WAIT_FOR(n_in_broker() == 0);

        fd_close(parked);
        fd_close(half);
        fd_close(waiting);
        fd_close(a);
}

/* More clients than the default backlog of a socket has places for. */
static void test_many_for_next_process(void **state) {
        int return_fd = listen_type_at("return", SOCK_SEQPACKET, 0), again = fcntl(return_fd, F_DUPFD_CLOEXEC, 3);
        int clients[400], fd;

        next_process_with(return_fd, 8 * ELEMENTSOF(clients));
        for (size_t i = 0; i < ELEMENTSOF(clients); i++) {
                tcp_pair(&clients[i], &fd);
                expect_answer(hand_back(fd, MESSAGE_NULL), FDPASS_ANSWER_TAKEN);
        }

        WAIT_FOR(n_parked() == ELEMENTSOF(clients));
        broker_stop(t.broker);
        assert_int_equal(n_handed_over(), ELEMENTSOF(clients));
        next_process_with(again, 8 * ELEMENTSOF(clients));
        WAIT_FOR(n_parked() == ELEMENTSOF(clients));

        for (size_t i = 0; i < ELEMENTSOF(clients); i++)
                fd_close(clients[i]);
        WAIT_FOR(n_in_broker() == 0);
}

static int send_on(int conn, int fd, Slice consumed) {
        uint8_t header[FDPASS_HEADER_MAX];
        Message m = MESSAGE_NULL;
        size_t n;

        m.listener = SLICE_LITERAL("public");
        m.name = SLICE_LITERAL("stream");
        assert_int_equal(message_encode(&m, header, sizeof(header), &n), 0);
        return handoff_send_message(conn, (Slice){ header, n }, consumed, fd);
}

/*
 * While the broker waits for a receipt, workers hand back as before: the one who owes the receipt may be waiting for
 * the answer to that. All goes to the next process, however much was consumed of it. On a connection that it closes
 * nothing is lost: its sender is told.
 */
static void test_while_stopping(void **state) {
        static const uint8_t consumed[FDPASS_CONSUMED_MAX] = "GET / HTTP/1.1\r\n\r\n";
        int return_fd = listen_type_at("return", SOCK_SEQPACKET, 8), again = fcntl(return_fd, F_DUPFD_CLOEXEC, 3);
        int a = listen_type_at("a", SOCK_SEQPACKET, 8), waiting, conn, clients[20], fd;

        start_handback(return_fd);
        tcp_pair(&waiting, &fd);
        say(waiting, HEAD_A);
        expect_answer(hand_back(fd, MESSAGE_NULL), FDPASS_ANSWER_TAKEN);
        WAIT_FOR(awaits_receipts());

        broker_stop(t.broker);
        conn = connect_return();
        for (size_t i = 0; i < ELEMENTSOF(clients); i++) {
                uint8_t answer = 0;

                tcp_pair(&clients[i], &fd);
                assert_int_equal(send_on(conn, fd, (Slice){ consumed, sizeof(consumed) }), 0);
                fd_close(fd);
                if (i == ELEMENTSOF(clients) - 1)
                        break; /* this one is still in the socket when the broker ends */
                WAIT_FOR(has_event(conn, POLLIN));
                assert_int_equal(recv(conn, &answer, 1, MSG_DONTWAIT), 1);
                assert_int_equal(answer, FDPASS_ANSWER_TAKEN);
        }

        (void) take_message(a, HEAD_A);
        WAIT_FOR(sd_event_get_state(t.event) == SD_EVENT_EXITING || n_in_broker() == 0);
        assert_int_equal(n_handed_over(), ELEMENTSOF(clients));
        assert_int_equal(send_on(conn, waiting, (Slice){}), -EPIPE);
        fd_close(conn);

        next_process(again);
        WAIT_FOR(n_returned() == ELEMENTSOF(clients));

        for (size_t i = 0; i < ELEMENTSOF(clients); i++)
                fd_close(clients[i]);
        fd_close(waiting);
        fd_close(a);
}

TEST_MAIN(BROKER_TEST(test_next_process),
          BROKER_TEST(test_many_for_next_process),
          BROKER_TEST(test_while_stopping))
