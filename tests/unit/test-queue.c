/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Clients that wait in the queue of a pool. */

#include "tcp-fixture.h"

/* No more than MaxPending= in the backlog, the rest in the order in which they came. */
static void test_window(void **state) {
        int worker = listen_at("a", 64), clients[8];

        USE({ .unit = "a.socket", .worker = "a", .max_pending = 2 });
        for (size_t i = 0; i < ELEMENTSOF(clients); i++)
                clients[i] = dial_and_say("public", (char) ('0' + i));

        WAIT_FOR(n_accepted() == ELEMENTSOF(clients));
        assert_int_equal(n_pending("a"), 2);
        assert_int_equal(queued("a.socket"), ELEMENTSOF(clients) - 2);

        for (size_t i = 0; i < ELEMENTSOF(clients); i++) {
                assert_int_equal(take_byte(worker), '0' + i);
                assert_true(n_pending("a") <= 2);
        }
        WAIT_FOR(n_in_broker() == 0);

        for (size_t i = 0; i < ELEMENTSOF(clients); i++)
                fd_close(clients[i]);
        fd_close(worker);
}

/* The queue is bounded, and its last resort is a close. */
static void test_queue_full(void **state) {
        int worker = listen_at("a", 64), a, b, c;

        USE({ .unit = "a.socket", .worker = "a", .max_pending = 1, .max_queued = 1 });
        a = dial("public");
        b = dial("public");
        c = dial("public");

        WAIT_FOR(is_closed(c));
        assert_int_equal(n_refused(REFUSAL_QUEUE_FULL), 1);
        assert_false(is_closed(a) || is_closed(b));

        fd_close(a);
        fd_close(b);
        fd_close(c);
        fd_close(worker);
}

/* So is the time in it. */
static void test_queue_timeout(void **state) {
        int worker = listen_at("a", 64), a, b;
        usec_t start = usec_now();

        USE({ .unit = "a.socket", .worker = "a", .max_pending = 1, .queue_timeout = 100 * USEC_PER_MSEC });
        a = dial("public");
        b = dial("public");

        WAIT_FOR(is_closed(b));
        assert_true(usec_now() - start >= 100 * USEC_PER_MSEC);
        WAIT_FOR(is_closed(a)); /* it was in the worker's backlog */
        assert_true(usec_now() - start < 1 * USEC_PER_SEC);
        WAIT_FOR(n_refused(REFUSAL_TIMEOUT) == 2);

        fd_close(a);
        fd_close(b);
        fd_close(worker);
}

/* A client that leaves the queue is not handed to a worker. */
static void test_client_leaves_queue(void **state) {
        int worker = listen_at("a", 8), first, second, third;

        USE({ .unit = "a.socket", .worker = "a", .max_pending = 1 });
        first = dial_and_say("public", '1');
        second = dial_and_say("public", '2');
        WAIT_FOR(n_accepted() == 2);
        fd_close(second);
        third = dial_and_say("public", '3');

        assert_int_equal(take_byte(worker), '1');
        assert_int_equal(take_byte(worker), '3');
        assert_int_equal(n_gone(), 1);

        fd_close(first);
        fd_close(third);
        fd_close(worker);
}

/* A pool waits for a worker whose window another pool has filled; a reset there must not leave it asleep. */
static void test_shared_worker(void **state) {
        int a = listen_at("a", 64), b = listen_at("b", 64), first, second;

        assert_int_equal(broker_add_listener(t.broker, "other", listen_at("other", 8)), 0);
        USE({ .unit = "a1.socket", .worker = "a", .listener = "public", .max_pending = 1 },
            { .unit = "a2.socket", .worker = "b", .listener = "public", .max_pending = 1 },
            { .unit = "b.socket", .worker = "a", .listener = "other", .max_pending = 1 });

        first = dial("public");
        WAIT_FOR(has_event(a, POLLIN));
        second = dial_and_say("other", 'x');
        WAIT_FOR(n_accepted() == 2);

        fd_close(accept4(a, NULL, NULL, SOCK_CLOEXEC)); /* the first goes to b */
        assert_int_equal(take_byte(a), 'x');

        fd_close(first);
        fd_close(second);
        fd_close(a);
        fd_close(b);
}

/* The broker may end with clients in the queue of routes that were replaced. */
static void test_end_with_old_queue(void **state) {
        int worker = listen_at("a", 64), first, second;

        USE({ .unit = "a.socket", .worker = "a", .max_pending = 1 });
        first = dial("public");
        second = dial("public");
        WAIT_FOR(n_accepted() == 2);
        USE({ .unit = "a.socket", .worker = "a", .max_pending = 1 });

        fd_close(first);
        fd_close(second);
        fd_close(worker);
}

/* A client with an earlier handoff does not hide the deadlines of the others. */
static void test_deadlines_behind_reset(void **state) {
        int worker = listen_at("a", 64), other, first, second;
        usec_t start;

        USE({ .unit = "a.socket", .worker = "a", .max_pending = 1, .queue_timeout = 500 * USEC_PER_MSEC });
        first = dial("public");
        WAIT_FOR(n_accepted() == 1);
        second = dial("public");
        WAIT_FOR(n_accepted() == 2);
        start = usec_now();
        run_for(400 * USEC_PER_MSEC);

        fd_close(accept4(worker, NULL, NULL, SOCK_CLOEXEC));
        fd_close(worker);
        worker = listen_at("a", 0);
        other = dial("a");

        WAIT_FOR(n_refused(REFUSAL_TIMEOUT) == 2);
        assert_true(usec_now() - start < 700 * USEC_PER_MSEC);

        fd_close(other);
        fd_close(first);
        fd_close(second);
        fd_close(worker);
}

/* A client whose time runs out in the backlog of a hanging worker is ended. The worker finds a socket at its end. */
static void test_time_with_hanging_worker(void **state) {
        int worker = listen_at("a", 64), first, second, conn, client;
        char byte;

        USE({ .unit = "a.socket", .worker = "a", .max_pending = 1, .queue_timeout = 300 * USEC_PER_MSEC });
        first = dial_and_say("public", '1');
        WAIT_FOR(n_accepted() == 1);
        second = dial_and_say("public", '2');
        WAIT_FOR(n_accepted() == 2);
        assert_int_equal(take_byte(worker), '1');
        WAIT_FOR(n_pending("a") == 1); /* the second, which has waited */
        WAIT_FOR(is_closed(second));
        WAIT_FOR(n_refused(REFUSAL_TIMEOUT) == 1);
        assert_int_equal(n_pending("a"), 1); /* it keeps its place there */

        conn = accept4(worker, NULL, NULL, SOCK_CLOEXEC);
        assert_int_equal(handoff_receive(conn, &client), 0);
        fd_close(conn);
        assert_int_equal(recv(client, &byte, 1, 0), 0);
        assert_true(send(client, &byte, 1, MSG_NOSIGNAL) < 0);
        WAIT_FOR(n_in_broker() == 0);
        assert_int_equal(n_pending("a"), 0);

        fd_close(client);
        fd_close(first);
        fd_close(second);
        fd_close(worker);
}

/* Clients that were reset do not keep a full queue full. */
static void test_dead_clients_in_queue(void **state) {
        struct linger reset = { .l_onoff = 1 };
        int worker = listen_at("a", 64), clients[5], last;

        add_tcp("tcp");
        USE({ .unit = "a.socket", .worker = "a", .max_pending = 1, .max_queued = 4 });
        for (size_t i = 0; i < ELEMENTSOF(clients); i++) {
                clients[i] = connect_tcp();
                assert_int_equal(setsockopt(clients[i], SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
        }
        WAIT_FOR(n_accepted() == ELEMENTSOF(clients));
        close_all(clients, ELEMENTSOF(clients));

        last = connect_tcp();
        WAIT_FOR(n_gone() == 4);
        assert_int_equal(n_refused(REFUSAL_QUEUE_FULL), 0);

        fd_close(last);
        fd_close(worker);
}

static void test_drain_one_of_two(void **state) {
        int a = listen_at("a", 16), b = listen_at("b", 16), clients[3];

        USE({ .unit = "a.socket", .worker = "a" }, { .unit = "b.socket", .worker = "b" });
        drain("a", true);

        for (size_t i = 0; i < ELEMENTSOF(clients); i++) {
                clients[i] = dial_and_say("public", (char) ('0' + i));
                assert_int_equal(take_byte(b), '0' + (int) i);
        }
        assert_false(has_event(a, POLLIN));

        for (size_t i = 0; i < ELEMENTSOF(clients); i++)
                fd_close(clients[i]);
        fd_close(a);
        fd_close(b);
}

static void test_drain_the_only_one(void **state) {
        int a = listen_at("a", 16), client;

        USE({ .unit = "a.socket", .worker = "a" });
        drain("a", true);

        client = dial_and_say("public", 'x');
        WAIT_FOR(queued("a.socket") == 1);
        assert_false(has_event(a, POLLIN));

        /* A reload changes nothing about it. */
        USE({ .unit = "a.socket", .worker = "a", .priority = 1 });
        assert_true(is_drained("a"));

        drain("a", false);
        assert_int_equal(take_byte(a), 'x');

        fd_close(client);
        fd_close(a);
}

/* Clients that wait for a worker go to its backup as soon as it is drained. */
static void test_drain_to_backup(void **state) {
        const RouteSpec specs[] = { { .unit = "a.socket", .worker = "a", .max_pending = 1 },
                                    { .unit = "b.socket", .worker = "b" } };
        int a = listen_at("a", 16), b = listen_at("b", 16), clients[2];
        Config *config = config_of(specs, ELEMENTSOF(specs));

        config->routes[1].backup = true;
        assert_int_equal(broker_set_config(t.broker, config), 0);
        clients[0] = dial_and_say("public", '1');
        WAIT_FOR(n_accepted() == 1);
        clients[1] = dial_and_say("public", '2');
        WAIT_FOR(queued("a.socket") == 1);

        drain("a", true);
        WAIT_FOR(queued("a.socket") == 0);
        assert_int_equal(take_byte(b), '2');

        fd_close(clients[0]);
        fd_close(clients[1]);
        fd_close(a);
        fd_close(b);
}

TEST_MAIN(BROKER_TEST(test_window),
          BROKER_TEST(test_queue_full),
          BROKER_TEST(test_queue_timeout),
          BROKER_TEST(test_client_leaves_queue),
          BROKER_TEST(test_shared_worker),
          BROKER_TEST(test_end_with_old_queue),
          BROKER_TEST(test_deadlines_behind_reset),
          BROKER_TEST(test_time_with_hanging_worker),
          BROKER_TEST(test_dead_clients_in_queue),
          BROKER_TEST(test_drain_one_of_two),
          BROKER_TEST(test_drain_the_only_one),
          BROKER_TEST(test_drain_to_backup))
