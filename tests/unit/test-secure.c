/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Clients whose TLS the kernel does, of an unmodified server under fdpass-preload.so (secure.c). fake-ktls.c is the kernel,
 * and shows a record that is no data as three bytes.
 */

#include "keeper-fixture.h"

#include <signal.h>

#define GOODBYE "\x15\x01\x00" /* an alert, close_notify */
#define ABORT "\x15\x02\x28"   /* an alert, handshake_failure */

#define ONE "GET /own/1 HTTP/1.1\r\nHost: a.example\r\n\r\n"

static void start(Keeper *k, const char *wait, const char *letters) {
        keeper_start_with(k, SOCK_SEQPACKET, PRELOAD ":" FAKE_KTLS, wait, letters);
        k->is_secure = true;
}

/*
 * These bytes come, then the end of the connection. That is a reset where the server left bytes unread: fake-ktls.c leaves
 * a record there that was looked at. The kernel's TLS has taken it from the queue of TCP by then.
 */
static void expect_rest(int fd, const char *bytes, size_t n) {
        char got[64];

        assert_true(has_bytes(fd));
        for (size_t i = 0; i < n; i++)
                assert_int_equal(recv(fd, got + i, 1, 0), 1);
        assert_memory_equal(got, bytes, n);
        assert_true(has_bytes(fd));
        assert_true(recv(fd, got, 1, 0) <= 0);
        fd_close(fd);
}

static void expect_goodbye(int fd) {
        expect_rest(fd, GOODBYE, 3);
}

/* The answer ends with this line. Reads nothing of what is behind it. */
static void expect_answer(int fd, const char *line) {
        char got[512];
        size_t n = 0;

        do {
                assert_true(has_bytes(fd) && n < sizeof(got) - 1);
                assert_int_equal(recv(fd, got + n, 1, 0), 1);
                got[++n] = '\0';
        } while (n < strlen(line) || strcmp(got + n - strlen(line), line) != 0);
}

/*
 * Hands a new client over, which then sends these bytes. Until here we hold the client, too. If the server closed it before,
 * it would still be in the server's epoll instance (epoll(7)).
 */
static int give(Keeper *k, const char *const *items, const char *bytes, size_t n) {
        int client = keeper_give(k, items, "");

        assert_int_equal(send(client, bytes, n, MSG_NOSIGNAL), (ssize_t) n);
        return client;
}

static void expect_told(Keeper *k, const char *line) {
        char told[64];

        read_line(k->s.out, told, sizeof(told));
        assert_string_equal(told, line);
}

static void say_record(int fd, const char *record) {
        assert_int_equal(send(fd, record, 3, MSG_NOSIGNAL), 3);
}

static const struct {
        const char *wait, *letters;
} ways[] = {
        { "epoll", "t" }, { "epoll", "tr" }, { "epoll", "tm" }, { "edge", "t" }, { "edge", "tr" },
        { "poll", "t" },  { "poll", "tm" },  { "threads", "t" }, { "threads", "tr" }, { "threads", "tm" },
};

/* The client says goodbye: the server sees the end, and the client gets a goodbye, too. */
static void test_client_says(void **state) {
        static const char *const *const scopes[] = { own, NULL };

        for (size_t i = 0; i < ELEMENTSOF(ways); i++)
                for (size_t j = 0; j < ELEMENTSOF(scopes); j++) {
                        Keeper k;
                        int client;

                        start(&k, ways[i].wait, ways[i].letters);

                        /* After a request, behind one, and instead of one. */
                        client = keeper_give(&k, scopes[j], ONE);
                        expect_answer(client, "GET /own/1 0\n");
                        say_record(client, GOODBYE);
                        expect_told(&k, "end\n");
                        expect_goodbye(client);

                        client = give(&k, scopes[j], ONE GOODBYE, strlen(ONE) + 3);
                        expect_answer(client, "GET /own/1 0\n");
                        expect_told(&k, "end\n");
                        expect_goodbye(client);

                        client = give(&k, scopes[j], GOODBYE, 3);
                        expect_told(&k, "end\n");
                        expect_goodbye(client);
                        keeper_stop(&k);
                }
}

/* Other records end the connection with an error, at once. */
static void test_other_records(void **state) {
        static const struct {
                const char *bytes, *told;
        } records[] = {
                { ABORT, "Connection reset by peer\n" },
                { "\x16\x18\x01", "Protocol error\n" }, /* KeyUpdate */
        };

        for (size_t i = 0; i < ELEMENTSOF(ways); i++)
                for (size_t j = 0; j < ELEMENTSOF(records); j++) {
                        Keeper k;
                        int client;

                        start(&k, ways[i].wait, ways[i].letters);
                        client = keeper_give(&k, own, ONE);
                        expect_answer(client, "GET /own/1 0\n");
                        say_record(client, records[j].bytes);
                        expect_told(&k, records[j].told);
                        expect_goodbye(client);
                        keeper_stop(&k);
                }
}

/* The server closes first, in several ways: one goodbye, also after a response whose end is that of the connection. */
static void test_server_closes(void **state) {
        static const char *const ways_to_close[] = { "", "y", "h", "hy", "m" };

        for (size_t i = 0; i < ELEMENTSOF(ways_to_close); i++) {
                Keeper k;
                int client;

                start(&k, "epoll", ways_to_close[i]);
                client = keeper_give(&k, NULL, "GET /own/bye HTTP/1.1\r\nHost: a.example\r\n\r\n");
                expect_answer(client, "GET /own/bye 0\n");
                expect_goodbye(client);
                keeper_stop(&k);
        }
}

/* After shutdown() the server reads on. */
static void test_half_closed(void **state) {
        Keeper k;
        int client;

        start(&k, "epoll", "d");
        client = keeper_give(&k, own, "GET /own/last HTTP/1.1\r\nHost: a.example\r\n\r\n");
        expect_answer(client, "GET /own/last 0\n");
        expect_goodbye(client);
        keeper_stop(&k);
}

/* No goodbye while another process, or another descriptor, may still write; and none to a client without TLS. */
static void test_silent(void **state) {
        static const char *const shares[] = { "f", "p" };
        Keeper k;
        int client, asker;

        for (size_t i = 0; i < ELEMENTSOF(shares); i++) {
                start(&k, "epoll", shares[i]);
                client = keeper_give(&k, NULL, "GET /half");
                asker = keeper_give(&k, NULL, "GET /own/quit HTTP/1.1\r\nHost: a.example\r\n\r\n");
                expect_answer(asker, "GET /own/quit 0\n");
                if (shares[i][0] == 'f') {
                        expect_end(asker);
                        expect_end(client);
                        fd_close(client);
                        fd_close(asker);
                } else {
                        expect_goodbye(asker);
                        fd_close(client);
                }
                keeper_stop(&k);
        }

        for (size_t i = 0; i < 2; i++) {
                start(&k, "epoll", i == 0 ? "v" : "");
                k.is_secure = i == 0;
                client = keeper_give(&k, own, "GET /own/bye HTTP/1.1\r\nHost: a.example\r\n\r\n");
                expect_answer(client, "GET /own/bye 0\n");
                expect_rest(client, "", 0);
                keeper_stop(&k);
        }
}

/* A client that is handed back gets no goodbye, because the next worker answers it. */
static void test_handed_back(void **state) {
        Keeper k;
        int client, back;

        for (size_t i = 0; i < ELEMENTSOF(ways); i++) {
                start(&k, ways[i].wait, ways[i].letters);
                client = keeper_give(&k, own, ONE);
                expect_answer(client, "GET /own/1 0\n");
                say(client, FOREIGN);
                back = expect_back(&k, FOREIGN);
                expect_told(&k, "end\n");
                (void) count_fds(k.s.pid); /* it has closed its descriptor */
                say(back, "served by the next worker\n");
                expect_answer(client, "served by the next worker\n");
                fd_close(back);
                expect_rest(client, "", 0);
                keeper_stop(&k);
        }
}

/* Nothing tells that a client of the stream form has TLS, until it says goodbye. */
static void test_stream_form(void **state) {
        Keeper k;
        int client;

        keeper_start_with(&k, SOCK_STREAM, PRELOAD ":" FAKE_KTLS, "epoll", "t");
        client = keeper_give(&k, NULL, ONE);
        expect_answer(client, "GET /own/1 0\n");
        say_record(client, GOODBYE);
        expect_told(&k, "end\n");
        expect_goodbye(client);

        client = keeper_give(&k, NULL, "GET /own/bye HTTP/1.1\r\nHost: a.example\r\n\r\n");
        expect_answer(client, "GET /own/bye 0\n");
        expect_rest(client, "", 0);
        keeper_stop(&k);
}

TEST_MAIN(TEST(test_client_says),
          TEST(test_other_records),
          TEST(test_server_closes),
          TEST(test_half_closed),
          TEST(test_silent),
          TEST(test_handed_back),
          TEST(test_stream_form))
