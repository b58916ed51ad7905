/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which handoffs were taken: by the end of the connection, by an answer, or by an untouched client. */

#include "tcp-fixture.h"

#include "handoff/protocol.h"

/* A worker that went away without looking costs the client nothing. */
static void test_reset(void **state) {
        int worker = listen_at("a", 64), client;

        USE({ .unit = "a.socket", .worker = "a" });
        client = dial_and_say("public", 'x');

        for (size_t i = 0; i < 3; i++) {
                WAIT_FOR(has_event(worker, POLLIN));
                fd_close(accept4(worker, NULL, NULL, SOCK_CLOEXEC));
                WAIT_FOR(n_unread() == i + 1);
        }
        assert_int_equal(take_byte(worker), 'x');
        WAIT_FOR(n_in_broker() == 0);

        fd_close(client);
        fd_close(worker);
}

/* A worker that never closes gives its receipt by having looked. */
static void test_worker_keeps_connection(void **state) {
        int worker = listen_at("a", 64), client, conn, received = -EBADF;

        USE({ .unit = "a.socket", .worker = "a" });
        client = dial("public");
        WAIT_FOR(has_event(worker, POLLIN));
        conn = accept4(worker, NULL, NULL, SOCK_CLOEXEC);
        assert_int_equal(handoff_receive(conn, &received), 0);

        WAIT_FOR(n_in_broker() == 0);
        assert_int_equal(n_taken(), 1);
        assert_false(is_closed(client));

        fd_close(received);
        WAIT_FOR(is_closed(client));
        fd_close(conn);
        fd_close(client);
        fd_close(worker);
}

/* The worker's side: takes a client and keeps both descriptors. */
static int take_both(int worker, int *ret_client) {
        int conn;

        WAIT_FOR(has_event(worker, POLLIN));
        conn = accept4(worker, NULL, NULL, SOCK_CLOEXEC);
        assert_true(conn >= 0);
        assert_int_equal(handoff_receive(conn, ret_client), 0);
        return conn;
}

/* A client comes and goes, for which its source has no place before the @n-th receipt. Returns true if that is there. */
static bool come_and_go(uint64_t n) {
        fd_close(dial_tcp('y'));
        return n_taken() >= n;
}

/* The worker's side: takes the clients that found a place. Returns true if there is none any more. */
static bool take_rest(int worker) {
        if (has_event(worker, POLLIN))
                (void) take_byte(worker);
        return n_in_broker() == 0;
}

/* A worker takes a client and keeps the connection. Returns the time to the receipt, while other clients come. */
static usec_t time_to_receipt(int worker) {
        int client = dial_tcp('x'), received, conn = take_both(worker, &received);
        uint64_t n = n_taken() + 1;
        usec_t begin = usec_now(), span;

        WAIT_FOR(come_and_go(n));
        span = usec_now() - begin;

        fd_close(conn);
        fd_close(received);
        fd_close(client);
        WAIT_FOR(take_rest(worker));
        return span;
}

/* Clients of a full source do not put off the receipt of a worker that keeps its connection. */
static void test_full_source_puts_off_no_receipt(void **state) {
        int worker = listen_at("a", 64);
        usec_t shortest = USEC_INFINITY;

        t.max_per_source = 1;
        USE({ .unit = "a.socket", .worker = "a" });

        /* On a busy machine one try may take longer. */
        for (size_t i = 0; i < 5 && shortest > 400 * USEC_PER_MSEC; i++)
                shortest = MIN(shortest, time_to_receipt(worker));

        assert_true(n_refused(REFUSAL_SOURCE_FULL) > 0);
        assert_true(shortest <= 400 * USEC_PER_MSEC);
        fd_close(worker);
}

/* With Receipt=ack a worker that dies before it began costs the client nothing, and one that answers gets it. */
static void test_ack(void **state) {
        int worker = listen_at("a", 8), client, received, conn;
        uint8_t taken = FDPASS_ANSWER_TAKEN;

        USE({ .unit = "a.socket", .worker = "a", .receipt = RECEIPT_BY_ACK });
        client = dial_tcp('x');

        conn = take_both(worker, &received);
        fd_close(received);
        fd_close(conn);
        WAIT_FOR(n_unread() == 1);

        conn = take_both(worker, &received);
        run_for(300 * USEC_PER_MSEC);
        assert_int_equal(n_in_broker(), 1); /* it was received, but that is not enough */
        assert_int_equal(write(conn, &taken, 1), 1);
        WAIT_FOR(n_in_broker() == 0);
        assert_int_equal(n_taken(), 1);

        fd_close(conn);
        fd_close(received);
        fd_close(client);
        fd_close(worker);
}

/* A client from which a worker has read goes to no other worker, with any answer and without one. */
static void test_touched(void **state) {
        static const uint8_t answers[] = { 0, FDPASS_ANSWER_REFUSED, FDPASS_ANSWER_ERROR };
        int worker = listen_at("a", 8);

        USE({ .unit = "a.socket", .worker = "a", .receipt = RECEIPT_BY_ACK });

        for (size_t i = 0; i < ELEMENTSOF(answers); i++) {
                int client = dial_tcp('x'), received, conn = take_both(worker, &received);
                char byte;

                assert_int_equal(recv(received, &byte, 1, 0), 1);
                fd_close(received);
                if (answers[i] != 0)
                        assert_int_equal(write(conn, &answers[i], 1), 1);
                fd_close(conn);

                WAIT_FOR(n_in_broker() == 0);
                assert_int_equal(n_taken(), i + 1);
                assert_int_equal(n_unread(), 0);
                fd_close(client);
        }

        fd_close(worker);
}

/* A worker's own answer sends the client on, or ends it, also without Receipt=ack. */
static void test_worker_answers(void **state) {
        static const uint8_t refused = FDPASS_ANSWER_REFUSED, error = FDPASS_ANSWER_ERROR;
        int worker = listen_at("a", 8), client, received, conn;

        USE({ .unit = "a.socket", .worker = "a" });

        client = dial_tcp('x');
        conn = take_both(worker, &received);
        assert_int_equal(write(conn, &refused, 1), 1);
        fd_close(conn);
        fd_close(received);
        assert_int_equal(take_byte(worker), 'x');
        fd_close(client);

        client = dial_tcp(0x01);
        conn = take_both(worker, &received);
        assert_int_equal(write(conn, &error, 1), 1);
        fd_close(conn);
        fd_close(received);
        WAIT_FOR(is_closed(client));
        assert_int_equal(n_refused(REFUSAL_WORKER), 1);

        fd_close(client);
        fd_close(worker);
}

/* A look at one worker does not count for the next one, which may still decline the client, too. */
static void test_each_worker_is_looked_at_twice(void **state) {
        static const uint8_t refused = FDPASS_ANSWER_REFUSED;
        int worker = listen_at("a", 8), client, received, conn;
        usec_t begin;

        USE({ .unit = "a.socket", .worker = "a" });
        client = dial_tcp('x');
        conn = take_both(worker, &received);
        WAIT_FOR(first_client_was_received());

        begin = usec_now();
        assert_int_equal(write(conn, &refused, 1), 1);
        fd_close(conn);
        fd_close(received);

        conn = take_both(worker, &received);
        WAIT_FOR(n_taken() == 1);
        assert_true(usec_now() - begin >= 200 * USEC_PER_MSEC); /* each of two looks comes after 100 ms */

        fd_close(conn);
        fd_close(received);
        fd_close(client);
        fd_close(worker);
}

/* An answer before the worker has received the message is no receipt. */
static void test_byte_is_no_receipt(void **state) {
        int worker = listen_at("a", 8), client, conn;

        USE({ .unit = "a.socket", .worker = "a" });
        client = dial_and_say("public", 'x');
        WAIT_FOR(has_event(worker, POLLIN));
        conn = accept4(worker, NULL, NULL, SOCK_CLOEXEC);
        say(conn, "!");
        fd_close(conn);
        assert_int_equal(take_byte(worker), 'x');

        fd_close(client);
        fd_close(worker);
}

TEST_MAIN(BROKER_TEST(test_reset),
          BROKER_TEST(test_worker_keeps_connection),
          TCP_TEST(test_full_source_puts_off_no_receipt),
          TCP_TEST(test_ack),
          TCP_TEST(test_touched),
          TCP_TEST(test_worker_answers),
          TCP_TEST(test_each_worker_is_looked_at_twice),
          BROKER_TEST(test_byte_is_no_receipt))
