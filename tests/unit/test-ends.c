/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Generations of routes, kept connections and the broker itself that end while clients are still linked to them. */

#include "tcp-fixture.h"

#include <unistd.h>

#include "broker/handback.h"
#include "handoff/message.h"

/* The worker takes its first client and keeps the connection, which is returned. */
static int keep(int worker) {
        static uint8_t buffer[FDPASS_MESSAGE_MAX];
        int first = dial_tcp('!'), conn, fds[FDPASS_KEEP_MAX];
        size_t n, n_fds = ELEMENTSOF(fds);

        WAIT_FOR(has_event(worker, POLLIN));
        conn = accept4(worker, NULL, NULL, SOCK_CLOEXEC);
        assert_int_equal(handoff_receive_batch(conn, 0, buffer, sizeof(buffer), &n, fds, &n_fds), 0);
        assert_int_equal(handoff_answer_kept(conn, FDPASS_ANSWER_TAKEN, 0, 1, 100), 0);
        WAIT_FOR(n_taken() == 1);
        fd_close(fds[0]);
        fd_close(first);
        return conn;
}

/* One that was refused and lingers does not point to the routes that a reload has ended. */
static void test_refused_over_reload(void **state) {
        static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        int worker = listen_at("a", 8), client = dial("public"), conn, fd = -EBADF;

        USE({ .unit = "a.socket", .worker = "a" });
        assert_int_equal(send(client, request, sizeof(request) - 1, 0), sizeof(request) - 1);
        WAIT_FOR(has_event(worker, POLLIN));
        conn = accept4(worker, NULL, NULL, SOCK_CLOEXEC);
        assert_int_equal(handoff_receive(conn, &fd), 0);
        fd_close(fd);
        handoff_answer(conn, FDPASS_ANSWER_ERROR);
        WAIT_FOR(n_refused(REFUSAL_WORKER) == 1);

        USE({ .unit = "b.socket", .worker = "b" });
        WAIT_FOR(first_client_state() == CLIENT_REFUSED);
        assert_false(first_client_has_route());

        fd_close(conn);
        fd_close(client);
        fd_close(worker);
}

/* A stop while two pools wait for one worker, whose kept connection has ended unnoticed. */
static void test_stop(void **state) {
        int worker = listen_type_at("a", SOCK_SEQPACKET, 16), clients[4], conn;

        USE({ .unit = "a.socket", .worker = "a", .listener = "tcp", .form = WORKER_SEQPACKET, .max_pending = 1 },
            { .unit = "c.socket", .worker = "a", .listener = "public", .form = WORKER_SEQPACKET, .max_pending = 1 });
        conn = keep(worker);
        clients[0] = dial_tcp('h');
        WAIT_FOR(n_pending("a") == 1);
        clients[1] = dial_tcp('q');
        clients[2] = dial_tcp('r');
        clients[3] = dial_and_say("public", 'p');
        WAIT_FOR(n_accepted() == 5);

        fd_close(conn); /* the loop has no turn between this and the stop */
        (void) alarm(10);
        broker_stop(t.broker);
        (void) alarm(0);

        for (size_t i = 0; i < ELEMENTSOF(clients); i++)
                fd_close(clients[i]);
        fd_close(worker);
}

/* The end of the broker, with a client unanswered on a kept connection of a worker that no route leads to any more. */
static void test_exit(void **state) {
        int worker = listen_type_at("a", SOCK_SEQPACKET, 16), client, conn;

        USE({ .unit = "a.socket", .worker = "a", .form = WORKER_SEQPACKET });
        conn = keep(worker);
        client = dial_tcp('h');
        WAIT_FOR(n_pending("a") == 1);

        USE({ .unit = "b.socket", .worker = "b", .form = WORKER_SEQPACKET });
        t.broker = broker_free(t.broker);

        fd_close(client);
        fd_close(conn);
        fd_close(worker);
}

/* Those who wait for a worker that is drained go to its backup at once. */
static void test_drained(void **state) {
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

/* Where those on their way are too many, nobody who is parked is thrown out for them: that makes no place. */
static void test_parked_stay(void **state) {
        enum { N_PARKED = 8, N = 40 };
        static const char *const listeners[] = { "public", "other" };
        int workers[2], parked[N_PARKED], clients[2 * N], listener, conn;
        struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        uint8_t header[FDPASS_HEADER_MAX];
        socklen_t len = sizeof(in), sun_len;
        struct sockaddr_un sun;
        char path[64];
        size_t n;

        assert_int_equal(broker_add_listener(t.broker, "other", listen_at("other", 128)), 0);
        assert_int_equal(handback_listen(t.broker, "return", listen_type_at("return", SOCK_SEQPACKET, 8)), 0);
        workers[0] = listen_at("a", 128);
        workers[1] = listen_at("b", 128);
        USE({ .unit = "a.socket", .worker = "a", .listener = "public" },
            { .unit = "b.socket", .worker = "b", .listener = "other" });

        listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(listener, (struct sockaddr *) &in, len), 0);
        assert_int_equal(listen(listener, N_PARKED), 0);
        assert_int_equal(getsockname(listener, (struct sockaddr *) &in, &len), 0);
        path_of("return", path);
        assert_int_equal(address_from_path(path, &sun, &sun_len), 0);
        conn = handoff_connect_type(&sun, sun_len, SOCK_SEQPACKET);
        assert_int_equal(message_encode(&MESSAGE_NULL, header, sizeof(header), &n), 0);
        for (size_t i = 0; i < N_PARKED; i++) {
                _cleanup_close_ int fd = -EBADF;

                parked[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
                assert_int_equal(connect(parked[i], (struct sockaddr *) &in, len), 0);
                fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
                assert_int_equal(handoff_send_message(conn, (Slice){ header, n }, (Slice){}, fd), 0);
        }
        WAIT_FOR(n_parked() == N_PARKED);

        for (size_t i = 0; i < ELEMENTSOF(clients); i++)
                clients[i] = dial(listeners[i % 2]);
        WAIT_FOR(is_paused() || n_accepted() == ELEMENTSOF(clients));

        assert_in_range(n_in_broker() - n_parked(), 1, max_clients());
        assert_true(2 * n_in_broker() - n_parked() <= n_fds());

        for (size_t i = 0; i < N_PARKED; i++)
                fd_close(parked[i]);
        for (size_t i = 0; i < ELEMENTSOF(clients); i++)
                fd_close(clients[i]);
        fd_close(conn);
        fd_close(listener);
        fd_close(workers[0]);
        fd_close(workers[1]);
}

TEST_MAIN(BROKER_TEST(test_refused_over_reload),
          TCP_TEST(test_stop),
          TCP_TEST(test_exit),
          BROKER_TEST(test_drained),
          BROKER_TEST(test_parked_stay))
