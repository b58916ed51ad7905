/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Workers that are away, come back, or have a full backlog. */

#include "broker-fixture.h"

/* Waiting for a worker that was left alone for a moment, and then got all that it may have, takes no turns. */
static void test_full_after_back_off(void **state) {
        int worker = listen_at("a", 64), first, second;
        unsigned n_turns = 0;

        USE({ .unit = "a.socket", .worker = "a", .max_pending = 1 });
        first = dial("public");
        second = dial("public");
        WAIT_FOR(n_accepted() == 2);
        fd_close(accept4(worker, NULL, NULL, SOCK_CLOEXEC));
        WAIT_FOR(n_unread() == 1);
        WAIT_FOR(n_pending("a") == 1);

        for (usec_t end = usec_now() + 300 * USEC_PER_MSEC; usec_now() < end; n_turns++)
                assert_true(broker_turn(t.broker, end - MIN(usec_now(), end)) >= 0);
        assert_true(n_turns < 20);

        fd_close(first);
        fd_close(second);
        fd_close(worker);
}

/* No client waits for a dead worker while another one of the pool lives. */
static void test_pool_fails_over(void **state) {
        int b = listen_at("b", 64), clients[4];

        USE({ .unit = "a.socket", .worker = "a" }, { .unit = "b.socket", .worker = "b" });
        for (size_t i = 0; i < ELEMENTSOF(clients); i++)
                clients[i] = dial_and_say("public", 'x');

        for (size_t i = 0; i < ELEMENTSOF(clients); i++)
                assert_int_equal(take_byte(b), 'x');

        for (size_t i = 0; i < ELEMENTSOF(clients); i++)
                fd_close(clients[i]);
        fd_close(b);
}

/* A worker that is away for a moment costs no client its connection. */
static void test_worker_comes_back(void **state) {
        int client, worker;

        USE({ .unit = "a.socket", .worker = "a" });
        client = dial_and_say("public", 'x');
        WAIT_FOR(n_in_broker() == 1);
        assert_true(is_gone("a"));

        worker = listen_at("a", 8);
        assert_int_equal(take_byte(worker), 'x');
        assert_false(is_gone("a"));

        fd_close(client);
        fd_close(worker);
}

/* If a worker stays away, waiting clients and new ones are refused. */
static void test_worker_stays_away(void **state) {
        int a, b, c;
        usec_t start;

        USE({ .unit = "a.socket", .worker = "a" });
        a = dial("public");
        b = dial("public");
        WAIT_FOR(is_closed(a) && is_closed(b));
        assert_int_equal(n_refused(REFUSAL_WORKER_GONE), 2);

        start = usec_now();
        c = dial_and_say("public", 0x01); /* no protocol that has an answer */
        WAIT_FOR(is_closed(c));
        assert_true(usec_now() - start < 500 * USEC_PER_MSEC);

        fd_close(a);
        fd_close(b);
        fd_close(c);
}

/* The first client after a repair is served, although the broker waits for longer and longer before it tries by itself. */
static void test_first_client_after_repair(void **state) {
        int clients[20], worker;

        USE({ .unit = "a.socket", .worker = "a" }, { .unit = "b.socket", .worker = "b" });
        clients[0] = dial("public");
        WAIT_FOR(is_closed(clients[0])); /* lost for 1 s */
        assert_int_equal(n_refused(REFUSAL_WORKER_GONE), 1);

        run_for(2 * USEC_PER_MSEC);
        worker = listen_at("b", 8);
        clients[1] = dial_and_say("public", 'x');
        assert_int_equal(take_byte(worker), 'x');
        assert_int_equal(n_refused(REFUSAL_WORKER_GONE), 1);

        close_all(clients, 2);
        fd_close(worker);
}

/* Clients of a lost pool make at most one attempt in 1 ms. */
static void test_attempts_are_few(void **state) {
        Worker w = { .unreachable = true, .failed_at = 1000, .retry_at = 250000 };

        worker_try_again(&w, 1999, 1000);
        assert_int_equal(w.retry_at, 250000);
        worker_try_again(&w, 2000, 1000);
        assert_int_equal(w.retry_at, 2000);

        w = (Worker){ .failed_at = 1000, .retry_at = 250000 };
        worker_try_again(&w, 9000, 1000);
        assert_int_equal(w.retry_at, 250000);
}

/* A worker is stuck if it has had clients for 2 s and took none, and no longer if it takes one. */
static void test_stuck(void **state) {
        int worker = listen_at("a", 8), clients[2];

        USE({ .unit = "a.socket", .worker = "a" });
        for (size_t i = 0; i < ELEMENTSOF(clients); i++)
                clients[i] = dial_and_say("public", 'x');
        WAIT_FOR(n_pending("a") == 2);
        assert_int_equal(stuck_for("a", 1900 * USEC_PER_MSEC), 0);
        assert_in_range(stuck_for("a", 2100 * USEC_PER_MSEC), 2 * USEC_PER_SEC, 5 * USEC_PER_SEC);

        run_for(50 * USEC_PER_MSEC);
        assert_int_equal(take_byte(worker), 'x');
        WAIT_FOR(n_taken() == 1);
        assert_int_equal(stuck_for("a", 1900 * USEC_PER_MSEC), 0);
        assert_int_equal(take_byte(worker), 'x');
        WAIT_FOR(n_taken() == 2);
        assert_int_equal(stuck_for("a", 60 * USEC_PER_SEC), 0);

        close_all(clients, 2);
        fd_close(worker);
}

/* A full backlog is waited for, without a receipt to tell of its end. */
static void test_backlog_full(void **state) {
        int worker = listen_at("a", 0), other, client;

        USE({ .unit = "a.socket", .worker = "a" });
        other = dial("a"); /* another connection takes the only place */
        client = dial_and_say("public", 'x');
        WAIT_FOR(queued("a.socket") == 1);

        fd_close(accept4(worker, NULL, NULL, SOCK_CLOEXEC));
        assert_int_equal(take_byte(worker), 'x');

        fd_close(other);
        fd_close(client);
        fd_close(worker);
}

/* A worker that listens is there, also with a full backlog. */
static void test_full_is_not_gone(void **state) {
        int worker, other, client;

        USE({ .unit = "a.socket", .worker = "a" });
        client = dial("public");
        WAIT_FOR(n_accepted() == 1 && is_gone("a"));
        worker = listen_at("a", 0);
        other = dial("a");
        WAIT_FOR(!is_gone("a"));
        run_for(1500 * USEC_PER_MSEC);
        assert_int_equal(n_refused(REFUSAL_WORKER_GONE), 0);

        fd_close(other);
        fd_close(client);
        fd_close(worker);
}

TEST_MAIN(BROKER_TEST(test_full_after_back_off),
          BROKER_TEST(test_pool_fails_over),
          BROKER_TEST(test_worker_comes_back),
          BROKER_TEST(test_worker_stays_away),
          BROKER_TEST(test_first_client_after_repair),
          cmocka_unit_test(test_attempts_are_few),
          BROKER_TEST(test_stuck),
          BROKER_TEST(test_backlog_full),
          BROKER_TEST(test_full_is_not_gone))
