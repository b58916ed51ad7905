/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* From accept to receipt: windows, queues, pools, resets, reload, stop, limits. */

#include "broker-fixture.h"

#include <arpa/inet.h>

#include "handoff/protocol.h"

/* A client arrives at the worker, with all that it said, and the broker is rid of it. */
static void test_handoff(void **state) {
        int worker = listen_at("a", 8), client;

        USE({ .unit = "a.socket", .worker = "a" });
        client = dial_and_say("public", 'x');
        assert_int_equal(take_byte(worker), 'x');

        WAIT_FOR(n_in_broker() == 0);
        assert_int_equal(n_taken(), 1);
        WAIT_FOR(is_closed(client));

        fd_close(client);
        fd_close(worker);
}

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

/* A listener for TCP on loopback, of which alone it is known whether a client is untouched. */
static struct sockaddr_in add_tcp_listener(void) {
        struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t len = sizeof(sin);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_int_equal(bind(fd, (struct sockaddr *) &sin, sizeof(sin)), 0);
        assert_int_equal(listen(fd, 16), 0);
        assert_int_equal(getsockname(fd, (struct sockaddr *) &sin, &len), 0);
        assert_int_equal(broker_add_listener(t.broker, "tcp", fd), 0);
        return sin;
}

static int dial_tcp(const struct sockaddr_in *sin, char what) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_int_equal(connect(fd, (const struct sockaddr *) sin, sizeof(*sin)), 0);
        assert_int_equal(send(fd, &what, 1, 0), 1);
        return fd;
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

/* With Receipt=ack a worker that dies before it began costs the client nothing, and one that answers gets it. */
static void test_ack(void **state) {
        int worker = listen_at("a", 8), client, received, conn;
        struct sockaddr_in sin = add_tcp_listener();
        uint8_t taken = FDPASS_ANSWER_TAKEN;

        USE({ .unit = "a.socket", .worker = "a", .receipt = RECEIPT_BY_ACK });
        client = dial_tcp(&sin, 'x');

        conn = take_both(worker, &received);
        fd_close(received);
        fd_close(conn);
        WAIT_FOR(n_unread() == 1);

        conn = take_both(worker, &received);
        for (usec_t end = usec_now() + 300 * USEC_PER_MSEC; usec_now() < end;)
                assert_true(broker_turn(t.broker, end - MIN(usec_now(), end)) >= 0);
        assert_int_equal(n_in_broker(), 1); /* it was received, but that is not enough */
        assert_int_equal(write(conn, &taken, 1), 1);
        WAIT_FOR(n_in_broker() == 0);
        assert_int_equal(n_taken(), 1);

        fd_close(conn);
        fd_close(received);
        fd_close(client);
        fd_close(worker);
}

/* … but a client from which somebody has read is nobody else's, whatever the worker says or does not say. */
static void test_touched(void **state) {
        static const uint8_t answers[] = { 0, FDPASS_ANSWER_REFUSED, FDPASS_ANSWER_ERROR };
        struct sockaddr_in sin = add_tcp_listener();
        int worker = listen_at("a", 8);

        USE({ .unit = "a.socket", .worker = "a", .receipt = RECEIPT_BY_ACK });

        for (size_t i = 0; i < ELEMENTSOF(answers); i++) {
                int client = dial_tcp(&sin, 'x'), received, conn = take_both(worker, &received);
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
        struct sockaddr_in sin = add_tcp_listener();

        USE({ .unit = "a.socket", .worker = "a" });

        client = dial_tcp(&sin, 'x');
        conn = take_both(worker, &received);
        assert_int_equal(write(conn, &refused, 1), 1);
        fd_close(conn);
        fd_close(received);
        assert_int_equal(take_byte(worker), 'x');
        fd_close(client);

        client = dial_tcp(&sin, 0x01);
        conn = take_both(worker, &received);
        assert_int_equal(write(conn, &error, 1), 1);
        fd_close(conn);
        fd_close(received);
        WAIT_FOR(is_closed(client));
        assert_int_equal(n_refused(REFUSAL_WORKER), 1);

        fd_close(client);
        fd_close(worker);
}

/* Equal routes share their clients. */
static void test_pool_balances(void **state) {
        int a = listen_at("a", 64), b = listen_at("b", 64), clients[10];

        USE({ .unit = "a.socket", .worker = "a" }, { .unit = "b.socket", .worker = "b" });
        assert_int_equal(n_pools(), 1);

        for (size_t i = 0; i < ELEMENTSOF(clients); i++)
                clients[i] = dial_and_say("public", 'x');
        WAIT_FOR(n_accepted() == ELEMENTSOF(clients));

        assert_int_equal(n_pending("a"), ELEMENTSOF(clients) / 2);
        assert_int_equal(n_pending("b"), ELEMENTSOF(clients) / 2);

        for (size_t i = 0; i < ELEMENTSOF(clients); i++)
                fd_close(clients[i]);
        fd_close(a);
        fd_close(b);
}

/* Nobody waits for a dead worker while another one of the pool lives. */
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

/* A worker that is away for a moment costs nobody anything … */
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

/* … and one that stays away keeps nobody hanging: not those who wait, and not those who come. */
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

/* A full backlog is waited for, without a receipt to tell of its end. */
static void test_backlog_full(void **state) {
        int worker = listen_at("a", 0), other, client;

        USE({ .unit = "a.socket", .worker = "a" });
        other = dial("a"); /* somebody else's connection takes the only place */
        client = dial_and_say("public", 'x');
        WAIT_FOR(queued("a.socket") == 1);

        fd_close(accept4(worker, NULL, NULL, SOCK_CLOEXEC));
        assert_int_equal(take_byte(worker), 'x');

        fd_close(other);
        fd_close(client);
        fd_close(worker);
}

/* The route that names the listener goes before the one that takes all; RoutePriority= goes before both. */
static void test_rank(void **state) {
        int a = listen_at("a", 8), b = listen_at("b", 8), clients[4];

        assert_int_equal(broker_add_listener(t.broker, "other", listen_at("other", 8)), 0);

        USE({ .unit = "a.socket", .worker = "a" }, { .unit = "b.socket", .worker = "b", .listener = "other" });
        clients[0] = dial_and_say("public", '0');
        clients[1] = dial_and_say("other", '1');
        assert_int_equal(take_byte(a), '0');
        assert_int_equal(take_byte(b), '1');

        USE({ .unit = "a.socket", .worker = "a", .priority = 1 }, { .unit = "b.socket", .worker = "b", .listener = "other" });
        clients[2] = dial_and_say("other", '2');
        assert_int_equal(take_byte(a), '2');

        USE({ .unit = "b.socket", .worker = "b", .listener = "other" });
        clients[3] = dial("public");
        WAIT_FOR(is_closed(clients[3]));
        assert_int_equal(n_refused(REFUSAL_NO_ROUTE), 1);

        for (size_t i = 0; i < ELEMENTSOF(clients); i++)
                fd_close(clients[i]);
        fd_close(a);
        fd_close(b);
}

/* New routes are for new clients; those under way keep theirs, and its window holds on. */
static void test_reload(void **state) {
        int a = listen_at("a", 8), b = listen_at("b", 8), clients[3];

        USE({ .unit = "a.socket", .worker = "a", .max_pending = 1 });
        clients[0] = dial_and_say("public", '0');
        clients[1] = dial_and_say("public", '1');
        WAIT_FOR(n_accepted() == 2);

        USE({ .unit = "b.socket", .worker = "b" });
        clients[2] = dial_and_say("public", '2');
        assert_int_equal(take_byte(b), '2');
        assert_int_equal(take_byte(a), '0');
        assert_int_equal(take_byte(a), '1');
        WAIT_FOR(n_in_broker() == 0);
        assert_int_equal(n_workers(), 1);

        for (size_t i = 0; i < ELEMENTSOF(clients); i++)
                fd_close(clients[i]);
        fd_close(a);
        fd_close(b);
}

/* Who left while he waited is not handed to anybody. */
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

/* On a stop the queue goes to where systemd keeps it, past the window, and the loop ends by itself. */
static void test_stop(void **state) {
        int worker = listen_at("a", 64), clients[8];

        USE({ .unit = "a.socket", .worker = "a", .max_pending = 1 });
        for (size_t i = 0; i < ELEMENTSOF(clients); i++)
                clients[i] = dial_and_say("public", (char) ('0' + i));
        WAIT_FOR(n_accepted() == ELEMENTSOF(clients));

        broker_stop(t.broker);
        assert_int_equal(n_pending("a"), ELEMENTSOF(clients));

        for (size_t i = 0; i < ELEMENTSOF(clients); i++)
                assert_int_equal(take_byte(worker), '0' + i);
        WAIT_FOR(sd_event_get_state(t.event) == SD_EVENT_FINISHED || n_in_broker() == 0);

        for (size_t i = 0; i < ELEMENTSOF(clients); i++)
                fd_close(clients[i]);
        fd_close(worker);
}

/* With ExitIdleTimeSec= the loop ends by itself, but not while somebody is there. */
static void test_exit_idle(void **state) {
        const RouteSpec spec = { .unit = "a.socket", .worker = "a" };
        int worker = listen_at("a", 8), client;
        Config *config = config_of(&spec, 1);

        config->broker.exit_idle_usec = 50 * USEC_PER_MSEC;
        assert_int_equal(broker_set_config(t.broker, config), 0);
        client = dial_and_say("public", 'x');
        WAIT_FOR(n_accepted() == 1);

        for (usec_t end = usec_now() + 200 * USEC_PER_MSEC; usec_now() < end;)
                assert_true(broker_turn(t.broker, end - MIN(usec_now(), end)) >= 0);
        assert_false(is_stopping());

        assert_int_equal(take_byte(worker), 'x');
        WAIT_FOR(is_stopping());

        fd_close(client);
        fd_close(worker);
}

/* At the high-water mark nobody is accepted; below it they are again. */
static void test_high_water(void **state) {
        int a = listen_at("a", 128), b = listen_at("b", 128), clients[80];

        assert_int_equal(broker_add_listener(t.broker, "other", listen_at("other", 128)), 0);
        USE({ .unit = "a.socket", .worker = "a", .listener = "public", .max_pending = 100 },
            { .unit = "b.socket", .worker = "b", .listener = "other", .max_pending = 100 });
        for (size_t i = 0; i < ELEMENTSOF(clients); i++) {
                clients[i] = dial_and_say(i % 2 ? "other" : "public", 'x');
                (void) broker_turn(t.broker, 0);
        }

        WAIT_FOR(is_paused());
        assert_int_equal(n_in_broker(), max_clients());

        for (size_t i = 0; i < max_clients() / 2; i++) {
                assert_int_equal(take_byte(a), 'x');
                assert_int_equal(take_byte(b), 'x');
        }
        WAIT_FOR(n_accepted() == ELEMENTSOF(clients));
        assert_false(is_paused());

        for (size_t i = 0; i < ELEMENTSOF(clients); i++)
                fd_close(clients[i]);
        fd_close(a);
        fd_close(b);
}

/* One pool leaves half of the room to the others, whatever its units say. */
static void test_share(void **state) {
        int a = listen_at("a", 128), b = listen_at("b", 128), clients[60], other;

        assert_int_equal(broker_add_listener(t.broker, "other", listen_at("other", 128)), 0);
        USE({ .unit = "a.socket", .worker = "a", .listener = "public", .max_pending = 1000, .max_queued = 1000 },
            { .unit = "b.socket", .worker = "b", .listener = "other" });
        for (size_t i = 0; i < ELEMENTSOF(clients); i++)
                clients[i] = dial("public");
        WAIT_FOR(n_accepted() == ELEMENTSOF(clients));
        WAIT_FOR(n_in_broker() == max_clients() / 2); /* the others were refused and are gone */
        assert_int_equal(n_refused(REFUSAL_QUEUE_FULL), ELEMENTSOF(clients) - max_clients() / 2);

        other = dial_and_say("other", 'x');
        assert_int_equal(take_byte(b), 'x');

        for (size_t i = 0; i < ELEMENTSOF(clients); i++)
                fd_close(clients[i]);
        fd_close(other);
        fd_close(a);
        fd_close(b);
}

/* Out of descriptors the broker sleeps, and goes on when there are some again. */
static void test_out_of_descriptors(void **state) {
        int worker = listen_at("a", 8), client;
        struct rlimit limit, none;
        unsigned n_turns = 0;

        USE({ .unit = "a.socket", .worker = "a" });
        client = dial_and_say("public", 'x');

        assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
        none = (struct rlimit){ (rlim_t) lowest_free_fd(), limit.rlim_max };
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        WAIT_FOR(is_paused());
        for (usec_t end = usec_now() + 500 * USEC_PER_MSEC; usec_now() < end; n_turns++)
                assert_true(broker_turn(t.broker, end - MIN(usec_now(), end)) >= 0);
        assert_true(n_turns < 20);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);

        assert_int_equal(take_byte(worker), 'x');

        fd_close(client);
        fd_close(worker);
}

TEST_MAIN(BROKER_TEST(test_handoff),
          BROKER_TEST(test_window),
          BROKER_TEST(test_queue_full),
          BROKER_TEST(test_queue_timeout),
          BROKER_TEST(test_reset),
          BROKER_TEST(test_full_after_back_off),
          BROKER_TEST(test_worker_keeps_connection),
          BROKER_TEST(test_ack),
          BROKER_TEST(test_touched),
          BROKER_TEST(test_worker_answers),
          BROKER_TEST(test_pool_balances),
          BROKER_TEST(test_pool_fails_over),
          BROKER_TEST(test_worker_comes_back),
          BROKER_TEST(test_worker_stays_away),
          BROKER_TEST(test_backlog_full),
          BROKER_TEST(test_rank),
          BROKER_TEST(test_reload),
          BROKER_TEST(test_client_leaves_queue),
          BROKER_TEST(test_stop),
          BROKER_TEST(test_exit_idle),
          BROKER_TEST(test_high_water),
          BROKER_TEST(test_share),
          BROKER_TEST(test_out_of_descriptors))
