/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Slots and tokens of the table of clients, and what the kernel tells of a client's socket. */

#include "test.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>

#include "basic/fd.h"
#include "broker/state/client-context.h"
#include "broker/state/client.h"

/* Both ends of a TCP connection over loopback. */
static void tcp_pair(int ret[static 2]) {
        struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t len = sizeof(sin);
        int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_int_equal(bind(listener, (struct sockaddr *) &sin, sizeof(sin)), 0);
        assert_int_equal(listen(listener, 1), 0);
        assert_int_equal(getsockname(listener, (struct sockaddr *) &sin, &len), 0);
        ret[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(ret[0], (struct sockaddr *) &sin, sizeof(sin)), 0);
        ret[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        assert_true(ret[1] >= 0);
        fd_close(listener);
}

static void wait_readable(int fd) {
        struct pollfd p = { .fd = fd, .events = POLLIN };

        assert_int_equal(poll(&p, 1, 5000), 1);
}

/* A token finds its client, and no client once the slot is free. */
static void test_tokens(void **state) {
        ClientTable table;
        uint64_t first, second;
        Client *a, *b;

        assert_int_equal(client_table_init(&table, 2), 0);
        a = client_new(&table, NULL, -EBADF);
        b = client_new(&table, NULL, -EBADF);
        assert_null(client_new(&table, NULL, -EBADF));
        first = client_token(a);
        second = client_token(b);
        assert_ptr_equal(client_by_token(&table, first), a);

        client_free(&table, a);
        assert_null(client_by_token(&table, first));
        assert_ptr_equal(client_new(&table, NULL, -EBADF), a);
        assert_null(client_by_token(&table, first));
        assert_ptr_equal(client_by_token(&table, second), b);
        assert_null(client_by_token(&table, UINT64_MAX));

        client_table_done(&table);
}

/* An identifier in our own form is kept as two numbers, any other one as it is. Each is told as it came. */
static void test_identifiers(void **state) {
        static const struct {
                const char *text;
                bool is_own;
        } ids[] = {
                { "00000000-0", true },
                { "b7a17f67-8884", true },
                { "ffffffff-18446744073709551615", true },
                { "ffffffff-18446744073709551616", false },
                { "ffffffff-99999999999999999999", false },
                { "ffffffff-184467440737095516150", false },
                { "B7A17F67-8884", false },
                { "b7a17f67-08884", false },
                { "b7a17f67--8884", false },
                { "b7a17f67-+1", false },
                { "b7a17f67- 1", false },
                { "b7a17f67-1a", false },
                { "b7a17f67-", false },
                { "b7a17f67", false },
                { "b7a17f6-88", false },
                { "b7a17g67-88", false },
                { " b7a17f6-88", false },
                { "b7a17f6788", false },
                { "0xb7a17f-88", false },
                { "x", false },
        };

        for (size_t i = 0; i < ELEMENTSOF(ids); i++) {
                Message m = MESSAGE_NULL;
                char told[CLIENT_ID_MAX];
                ClientTable table;
                Client *c;

                assert_int_equal(client_table_init(&table, 1), 0);
                c = client_new(&table, NULL, -EBADF);
                m.unique_id = slice_from_string(ids[i].text);
                assert_int_equal(client_set_context(c, &m), 0);
                assert_int_equal(!c->context, ids[i].is_own);
                assert_int_equal(client_id(c, told), strlen(ids[i].text));
                assert_string_equal(told, ids[i].text);
                client_free(&table, c);
                client_table_done(&table);
        }
}

static void begin_untouched(Client *c) {
        if (byte_counts_get(c->fd, &c->baseline) < 0)
                c->baseline = BYTE_COUNTS_UNKNOWN;
}

static bool is_untouched(const Client *c) {
        ByteCounts now;

        return byte_counts_get(c->fd, &now) >= 0 && now.n_read == c->baseline.n_read && now.n_written == c->baseline.n_written;
}

/* A client is untouched if it was only peeked at, also after its FIN. One byte in either direction ends that. */
static void test_untouched(void **state) {
        int pair[2];
        Client c = {};
        char byte;

        tcp_pair(pair);
        c.fd = pair[1];
        assert_true(is_untouched(&c));

        assert_int_equal(send(pair[0], "abc", 3, 0), 3);
        wait_readable(c.fd);
        assert_int_equal(recv(c.fd, &byte, 1, MSG_PEEK), 1);
        assert_true(is_untouched(&c));

        assert_int_equal(shutdown(pair[0], SHUT_WR), 0);
        struct pollfd p = { .fd = c.fd, .events = POLLRDHUP };
        assert_int_equal(poll(&p, 1, 5000), 1);
        assert_true(is_untouched(&c));

        assert_int_equal(recv(c.fd, &byte, 1, 0), 1);
        assert_false(is_untouched(&c));
        c.baseline.n_read = 1;
        assert_true(is_untouched(&c));

        assert_int_equal(send(c.fd, "x", 1, MSG_NOSIGNAL), 1);
        assert_false(is_untouched(&c));

        fd_close(pair[0]);
        fd_close(pair[1]);
}

/* For a client that comes back, earlier bytes do not count, not even while its answer is on the way. */
static void test_untouched_again(void **state) {
        static char large[65536], buffer[1024];
        int pair[2];
        Client c = {};
        char byte;

        tcp_pair(pair);
        c.fd = pair[1];
        assert_int_equal(send(pair[0], "abc", 3, 0), 3);
        assert_int_equal(recv(c.fd, &byte, 1, 0), 1);
        assert_int_equal(send(c.fd, large, sizeof(large), MSG_NOSIGNAL), sizeof(large));
        assert_false(is_untouched(&c));

        do /* it is uncertain while the other side acknowledges */
                begin_untouched(&c);
        while (c.baseline.n_read == UINT64_MAX);
        for (size_t n = 0; n < sizeof(large);) {
                ssize_t k = recv(pair[0], buffer, sizeof(buffer), 0);

                assert_true(k > 0);
                n += (size_t) k;
        }
        for (unsigned i = 0; i < 1000 && !is_untouched(&c); i++)
                (void) poll(NULL, 0, 1);
        assert_true(is_untouched(&c));

        assert_int_equal(recv(c.fd, &byte, 1, 0), 1);
        assert_false(is_untouched(&c));
        begin_untouched(&c);
        assert_true(is_untouched(&c));
        assert_int_equal(send(c.fd, "x", 1, MSG_NOSIGNAL), 1);
        assert_false(is_untouched(&c));

        fd_close(pair[0]);
        fd_close(pair[1]);
}

/* Of others it is not known, so it is not claimed. */
static void test_untouched_unknown(void **state) {
        int pair[2];
        Client c = {};

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        c.fd = pair[0];
        assert_false(is_untouched(&c));
        fd_close(pair[0]);
        fd_close(pair[1]);
}

/* A half-closed client is there, a reset one is not. */
static void test_gone(void **state) {
        struct linger reset = { .l_onoff = 1 };
        int pair[2];
        Client c = {};

        tcp_pair(pair);
        c.fd = pair[1];
        assert_int_equal(shutdown(pair[0], SHUT_WR), 0);
        wait_readable(c.fd);
        assert_false(client_is_gone(&c));

        assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
        fd_close(pair[0]);
        struct pollfd p = { .fd = c.fd };
        assert_int_equal(poll(&p, 1, 5000), 1);
        assert_true(client_is_gone(&c));
        assert_false(is_untouched(&c));
        fd_close(pair[1]);
}

TEST_MAIN(TEST(test_tokens),
          TEST(test_identifiers),
          TEST(test_untouched),
          TEST(test_untouched_again),
          TEST(test_untouched_unknown),
          TEST(test_gone))
