/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Clients that have no room for what a flusher writes. */

#include "flush-fixture.h"

/* Writes as much as fits. */
static int fill(const struct fdpass_flusher_request *request, struct fdpass_flusher_output *output) {
        int r = request->head(request, output, NULL);

        memset(output->bytes + output->len, 'x', output->capacity - output->len);
        output->len = output->capacity;
        return r;
}

static const struct fdpass_flusher filler = { FDPASS_FLUSHER_ABI, sizeof(struct fdpass_flusher), "fill", fill, NULL };

/* Both ends of a TCP connection whose buffers are full: @ret_worker has no room. Returns what was written. */
static size_t full_pair(int *ret_client, int *ret_worker) {
        struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), small = 4096;
        static const uint8_t zeros[4096];
        socklen_t len = sizeof(sin);
        size_t n = 0;
        ssize_t k;

        assert_int_equal(setsockopt(listener, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
        assert_int_equal(bind(listener, (struct sockaddr *) &sin, sizeof(sin)), 0);
        assert_int_equal(listen(listener, 1), 0);
        assert_int_equal(getsockname(listener, (struct sockaddr *) &sin, &len), 0);
        *ret_client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(setsockopt(*ret_client, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
        assert_int_equal(connect(*ret_client, (struct sockaddr *) &sin, sizeof(sin)), 0);
        *ret_worker = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        assert_true(*ret_worker >= 0);
        fd_close(listener);

        /* Until it stays full although the kernel has had time to move what there is to the other side. */
        for (;;) {
                while ((k = send(*ret_worker, zeros, sizeof(zeros), MSG_DONTWAIT)) > 0)
                        n += (size_t) k;
                struct pollfd p = { .fd = *ret_worker, .events = POLLOUT };
                if (poll(&p, 1, 300) == 0)
                        return n;
        }
}

static void start_slow(int *ret_return) {
        *ret_return = listen_type_at("return", SOCK_SEQPACKET, 8);
        assert_int_equal(handback_listen(t.broker, "return", *ret_return), 0);
        USE({ .unit = "a.socket", .worker = "a", .flusher = &filler });
}

/* One without room is waited for, without a worker's connection; it gets all, and in order. */
static void test_slow(void **state) {
        int a = listen_at("a", 8), client, fd, conn, r;
        size_t n, got = 0;
        char buffer[4096], last = 0;

        start_slow(&r);
        n = full_pair(&client, &fd);
        hand_back_named(fd, NULL, HEAD, 0, FDPASS_ANSWER_TAKEN);
        WAIT_FOR(n_flush_waits() == 1);

        /* The worker's connection was closed again. */
        conn = accept_one(a);
        WAIT_FOR(has_event(conn, POLLIN));
        assert_int_equal(handoff_receive(conn, &fd), HANDOFF_CLOSED);
        fd_close(conn);
        assert_int_equal(n_taken(), 0);

        while (got < n + FDPASS_FLUSHER_OUTPUT_MAX) {
                ssize_t k;

                WAIT_FOR(has_event(client, POLLIN));
                k = recv(client, buffer, sizeof(buffer), MSG_DONTWAIT);
                assert_true(k > 0);
                got += (size_t) k;
                last = buffer[k - 1];
        }
        assert_int_equal(got, n + FDPASS_FLUSHER_OUTPUT_MAX);
        assert_int_equal(last, 'x');

        fd_close(take(a));
        expect_empty_broker();
        assert_int_equal(n_flushed(), 1);
        fd_close(client);
        fd_close(a);
}

/* And not for long: a client that reads nothing is reset. */
static void test_too_slow(void **state) {
        int a = listen_at("a", 8), client, fd, r;

        start_slow(&r);
        (void) full_pair(&client, &fd);
        hand_back_named(fd, NULL, HEAD, 0, FDPASS_ANSWER_TAKEN);
        WAIT_FOR(n_flush_waits() == 1);
        WAIT_FOR(n_in_broker() == 0);
        assert_int_equal(n_refused(REFUSAL_SLOW), 1);
        assert_int_equal(n_flush_lost(), 1);
        fd_close(client);
        fd_close(a);
}

/* It leaves while it is waited for. */
static void test_slow_and_gone(void **state) {
        int a = listen_at("a", 8), client, fd, r;

        start_slow(&r);
        (void) full_pair(&client, &fd);
        hand_back_named(fd, NULL, HEAD, 0, FDPASS_ANSWER_TAKEN);
        WAIT_FOR(n_flush_waits() == 1);
        fd_close(client); /* with bytes unread: a reset */
        WAIT_FOR(n_in_broker() == 0);
        assert_int_equal(n_gone(), 1);
        fd_close(a);
}

TEST_MAIN(BROKER_TEST(test_slow),
          BROKER_TEST(test_too_slow),
          BROKER_TEST(test_slow_and_gone))
