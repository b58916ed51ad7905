/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Workers of the datagram form: what is sent has arrived, until their queue is full. */

#include "broker-fixture.h"

#define N 40 /* less than a queue of the kernel and of the pool hold together */

static int receive_byte(int worker) {
        uint8_t buffer[FDPASS_MESSAGE_MAX];
        int client;
        size_t n;
        char byte = 0;

        if (handoff_receive_message(worker, MSG_DONTWAIT, buffer, sizeof(buffer), &n, &client) != 0)
                return -1;

        assert_int_equal(recv(client, &byte, 1, 0), 1);
        fd_close(client);
        return byte;
}

static Worker *the_worker(void) {
        return t.broker->routing->routes[0].worker;
}

/* The queue holds a few only, and the next one is sent as soon as there is room, whenever the timer would come. */
static void test_queue(void **state) {
        int worker = listen_type_at("a", SOCK_DGRAM, -1), clients[N], byte;

        USE({ .unit = "a.socket", .worker = "a", .form = WORKER_DATAGRAM });
        for (size_t i = 0; i < N; i++)
                clients[i] = dial_and_say("public", (char) ('0' + i));
        WAIT_FOR(t.broker->n.n_accepted == N);
        assert_in_range(t.broker->n.n_handed, 1, N - 1);
        assert_non_null(the_worker()->room);

        for (size_t i = 0; i < N; i++) {
                if (the_worker()->retry_at > 0)
                        the_worker()->retry_at += 3600 * USEC_PER_SEC;
                WAIT_FOR((byte = receive_byte(worker)) >= 0);
                assert_int_equal(byte, '0' + i);
        }

        assert_int_equal(t.broker->n.n_handed, N);
        assert_int_equal(t.broker->clients.n_used, 0);
        for (size_t i = 0; i < N; i++)
                fd_close(clients[i]);
        fd_close(worker);
}

/* A worker that comes back under the same path gets those who wait, though the full queue was another's. */
static void test_replaced(void **state) {
        int worker = listen_type_at("a", SOCK_DGRAM, -1), clients[N], byte;
        size_t n_handed, n = 0;

        USE({ .unit = "a.socket", .worker = "a", .form = WORKER_DATAGRAM });
        for (size_t i = 0; i < N; i++)
                clients[i] = dial_and_say("public", (char) ('0' + i));
        WAIT_FOR(t.broker->n.n_accepted == N);
        n_handed = t.broker->n.n_handed;

        fd_close(worker);
        worker = listen_type_at("a", SOCK_DGRAM, -1);
        while (n < N - n_handed) {
                WAIT_FOR((byte = receive_byte(worker)) >= 0);
                assert_int_equal(byte, '0' + n_handed + n++);
        }

        for (size_t i = 0; i < N; i++)
                fd_close(clients[i]);
        fd_close(worker);
}

static unsigned turns(usec_t span) {
        usec_t end = usec_now() + span;
        unsigned n = 0;

        for (; usec_now() < end; n++)
                assert_true(broker_turn(t.broker, 20 * USEC_PER_MSEC) >= 0);

        return n;
}

/* What one that hangs leaves unread fills the socket that all share: the broker sleeps, and others get their clients. */
static void test_hanging(void **state) {
        int a = listen_type_at("a", SOCK_DGRAM, -1), b = listen_type_at("b", SOCK_DGRAM, -1), clients[N], small = 1, other;

        /* So that some messages of few bytes fill it, as many more would with a longer queue. */
        assert_int_equal(setsockopt(t.broker->datagram_fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
        assert_int_equal(broker_add_listener(t.broker, "other", listen_at("other", 16)), 0);
        USE({ .unit = "a.socket", .worker = "a", .listener = "public", .form = WORKER_DATAGRAM },
            { .unit = "b.socket", .worker = "b", .listener = "other", .form = WORKER_DATAGRAM });

        for (size_t i = 0; i < N; i++)
                clients[i] = dial_and_say("public", 'x');
        WAIT_FOR(t.broker->n.n_accepted == N);
        assert_true(turns(USEC_PER_SEC / 2) < 100);

        other = dial_and_say("other", 'y');
        WAIT_FOR(receive_byte(b) == 'y');

        for (size_t i = 0; i < N; i++)
                fd_close(clients[i]);
        fd_close(other);
        fd_close(a);
        fd_close(b);
}

/* A reload without the route, while its queue is full. */
static void test_reload(void **state) {
        int worker = listen_type_at("a", SOCK_DGRAM, -1), clients[N];

        USE({ .unit = "a.socket", .worker = "a", .form = WORKER_DATAGRAM, .queue_timeout = 50 * USEC_PER_MSEC });
        for (size_t i = 0; i < N; i++)
                clients[i] = dial_and_say("public", 'x');
        WAIT_FOR(t.broker->n.n_accepted == N);

        USE({ .unit = "b.socket", .worker = "b" });
        WAIT_FOR(t.broker->workers.n_workers == 1);

        for (size_t i = 0; i < N; i++)
                fd_close(clients[i]);
        fd_close(worker);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                BROKER_TEST(test_queue),
                BROKER_TEST(test_replaced),
                BROKER_TEST(test_hanging),
                BROKER_TEST(test_reload),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
