/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Clients that were handed back and wait for their next request. */

#include "handback-fixture.h"

/* A kept-alive client waits for its next request, which is routed as if it were the first. */
static void test_park(void **state) {
        int a = listen_type_at("a", SOCK_SEQPACKET, 8), client, fd, conn;

        start_handback(listen_type_at("return", SOCK_SEQPACKET, 8));
        tcp_pair(&client, &fd);
        conn = hand_back(fd, MESSAGE_NULL);
        expect_answer(conn, FDPASS_ANSWER_TAKEN);
        WAIT_FOR(n_parked() == 1);

        say(client, HEAD_A);
        (void) take_message(a, HEAD_A);
        WAIT_FOR(n_in_broker() == 0);
        assert_int_equal(n_parked(), 0);

        fd_close(client);
        fd_close(a);
}

/* A parked client may leave, and its time is limited. */
static void test_park_ends(void **state) {
        int first, second, fd;

        start_handback(listen_type_at("return", SOCK_SEQPACKET, 8));
        set_park_timeout(100 * USEC_PER_MSEC);

        tcp_pair(&first, &fd);
        expect_answer(hand_back(fd, MESSAGE_NULL), FDPASS_ANSWER_TAKEN);
        fd_close(first);
        WAIT_FOR(n_in_broker() == 0);

        tcp_pair(&second, &fd);
        expect_answer(hand_back(fd, MESSAGE_NULL), FDPASS_ANSWER_TAKEN);
        WAIT_FOR(is_closed(second));
        fd_close(second);
}

/* MaxParked= holds: the source with the most parked clients gives up its oldest one. */
static void test_max_parked(void **state) {
        int first, second, fd;

        start_handback(listen_type_at("return", SOCK_SEQPACKET, 8));
        set_max_parked(1);
        tcp_pair(&first, &fd);
        expect_answer(hand_back(fd, MESSAGE_NULL), FDPASS_ANSWER_TAKEN);
        WAIT_FOR(n_parked() == 1); /* the helper looks at each, in any order */
        tcp_pair(&second, &fd);
        expect_answer(hand_back(fd, MESSAGE_NULL), FDPASS_ANSWER_TAKEN);
        WAIT_FOR(is_closed(first));
        assert_int_equal(n_parked(), 1);
        assert_false(is_closed(second));

        fd_close(first);
        fd_close(second);
}

/* A source that has its share in parked clients gives up the oldest of them for a new client, and for one that comes back. */
static void test_share_of_source(void **state) {
        int clients[4], newcomer, fd;

        t.max_per_source = 3;
        start_handback(listen_type_at("return", SOCK_SEQPACKET, 8));
        for (size_t i = 0; i < ELEMENTSOF(clients); i++) {
                tcp_pair(&clients[i], &fd);
                expect_answer(hand_back(fd, MESSAGE_NULL), FDPASS_ANSWER_TAKEN);
                WAIT_FOR(n_returned() == i + 1 && !is_judging());
        }
        WAIT_FOR(is_closed(clients[0]));
        assert_int_equal(n_parked(), 3);

        newcomer = connect_tcp();
        WAIT_FOR(is_closed(clients[1]));
        assert_int_equal(n_refused(REFUSAL_SOURCE_FULL), 0);
        assert_false(is_closed(newcomer) || is_closed(clients[2]));

        fd_close(newcomer);
        for (size_t i = 0; i < ELEMENTSOF(clients); i++)
                fd_close(clients[i]);
}

/* A parked client holds one descriptor, so there may be more of them than clients on their way. */
static void test_many_parked(void **state) {
        int clients[100], fd;

        start_handback(listen_type_at("return", SOCK_SEQPACKET, 8));
        assert_true(max_clients() < ELEMENTSOF(clients));
        assert_int_equal(n_free_places(), max_clients());
        set_max_parked(ELEMENTSOF(clients));
        for (size_t i = 0; i < ELEMENTSOF(clients); i++) {
                tcp_pair(&clients[i], &fd);
                expect_answer(hand_back(fd, MESSAGE_NULL), FDPASS_ANSWER_TAKEN);
                WAIT_FOR(helper_n_pending(t.helper) == 0); /* what is open yet takes room */
        }
        WAIT_FOR(n_parked() == ELEMENTSOF(clients));
        WAIT_FOR(helper_n_pending(t.helper) == 0);
        assert_int_equal(n_free_places(), (n_fds() - ELEMENTSOF(clients)) / 2);

        for (size_t i = 0; i < ELEMENTSOF(clients); i++)
                fd_close(clients[i]);
        WAIT_FOR(n_in_broker() == 0);
}

/* At MaxClients= no parked client is evicted, because parked clients do not count for it. */
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

TEST_MAIN(BROKER_TEST(test_park),
          BROKER_TEST(test_park_ends),
          BROKER_TEST(test_max_parked),
          TCP_TEST(test_share_of_source),
          BROKER_TEST(test_many_parked),
          BROKER_TEST(test_parked_stay))
