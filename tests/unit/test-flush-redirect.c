/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Flusher=redirect in the broker: clients that no worker gets. */

#include "flush-fixture.h"

#include "flusher/redirect.h"

#define REDIRECT .flusher = &flusher_redirect, .redirect_to = "https://%h%u"

static void expect_redirected(int fd, const char *location) {
        char got[65536], line[256];

        assert_true(read_all(fd, got));
        assert_response(got, "HTTP/1.1 308 Permanent Redirect\r\nDate: ", "This is at another address.\n");
        (void) snprintf(line, sizeof(line), "\r\nLocation: %s\r\n", location);
        assert_non_null(strstr(got, line));
        fd_close(fd);
}

/* The body is read, so that no reset destroys the answer. */
static void test_answer(void **state) {
        static char body[100000];
        int fd;

        USE({ .unit = "a.target", REDIRECT });

        fd = dial("public");
        say(fd, "GET /x?y HTTP/1.1\r\nHost: example.org\r\n\r\n");
        expect_redirected(fd, "https://example.org/x?y");

        fd = dial("public");
        say(fd, HEAD "HELLO" "GET / HTTP/1.1\r\n\r\n");
        expect_redirected(fd, "https://example.org/x");

        memset(body, 'x', sizeof(body) - 1);
        fd = dial("public");
        say(fd, "POST /x HTTP/1.1\r\nHost: example.org\r\nContent-Length: 99999\r\n\r\n");
        say(fd, body);
        expect_redirected(fd, "https://example.org/x");

        expect_empty_broker();
        assert_int_equal(n_flushed(), 3);
        assert_int_equal(n_flush_whole(), 3);
        assert_int_equal(n_taken(), 0);
}

static void test_refused(void **state) {
        char got[65536];
        int fd;

        USE({ .unit = "a.target", REDIRECT, .protocols = 1U << PROBE_HTTP });

        fd = dial("public");
        say(fd, "GET / HTTP/1.0\r\n\r\n");
        assert_true(read_all(fd, got));
        assert_non_null(startswith(got, "HTTP/1.1 400 Bad Request\r\n"));
        fd_close(fd);

        /* Other protocols have no route. */
        fd = dial("public");
        say(fd, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        WAIT_FOR(n_refused(REFUSAL_NO_HTTP2) == 1);
        fd_close(fd);
        fd = dial("public");
        say(fd, "EHLO example.org\r\n");
        WAIT_FOR(n_refused(REFUSAL_NO_ROUTE) == 1);
        fd_close(fd);
        expect_empty_broker();
}

/* A worker with the same match gets no client, wherever its unit stands in the alphabet. */
static void test_pool(void **state) {
        static const char *const units[] = { "a.socket", "z.socket" };
        int a = listen_at("a", 8), fd;

        for (size_t i = 0; i < ELEMENTSOF(units); i++) {
                USE({ .unit = units[i], .worker = "a" }, { .unit = "m.target", REDIRECT });
                fd = dial("public");
                say(fd, "GET / HTTP/1.1\r\nHost: b\r\n\r\n");
                expect_redirected(fd, "https://b/");
        }

        assert_false(has_event(a, POLLIN));
        fd_close(a);
}

/* Clients whose workers are gone go to a page elsewhere. */
static void test_fallback(void **state) {
        RouteSpec specs[] = { { .unit = "a.socket", .worker = "a", .priority = 1 }, { .unit = "b.target", REDIRECT } };
        Config *config = config_of(specs, 2);
        int fd;

        config->routes[0].fallback = FALLBACK_ROUTE;
        config->routes[0].failure_route = strdup("b.target");
        use_config(config);
        run_for(5 * USEC_PER_MSEC);

        for (unsigned i = 0; i < 3; i++) {
                fd = dial("public");
                say(fd, "GET / HTTP/1.1\r\nHost: b\r\n\r\n");
                expect_redirected(fd, "https://b/");
        }
        expect_empty_broker();
}

/* A client that a worker had: the helper writes to it. */
static void test_handed_back(void **state) {
        int b = listen_type_at("b", SOCK_SEQPACKET, 8), r, fd, client;
        Message m;

        r = listen_type_at("return", SOCK_SEQPACKET, 8);
        assert_int_equal(handback_listen(t.broker, "return", r), 0);
        add_tcp("tcp");
        USE({ .unit = "a.target", REDIRECT, .name = "away" },
            { .unit = "b.socket", .worker = "b", .transport = TRANSPORT_SEQPACKET });

        fd = dial_request("HELLO");
        client = take_with_message(b, &m);
        hand_back_named(client, "away", HEAD, 0, FDPASS_ANSWER_TAKEN);
        expect_redirected(fd, "https://example.org/x");

        /* Half of the head is still in the socket. */
        fd = dial_request("Host: a\r\n\r\nHELLO");
        client = take_with_message(b, &m);
        hand_back_named(client, "away", "GET / HTTP/1.1\r\n", 0, FDPASS_ANSWER_TAKEN);
        expect_redirected(fd, "https://a/");

        /* Its response has begun. */
        fd = dial_request("HELLO");
        client = take_with_message(b, &m);
        hand_back_named(client, "away", HEAD, 200, FDPASS_ANSWER_TAKEN);
        WAIT_FOR(n_refused(REFUSAL_WORKER) == 1);
        fd_close(fd);
        expect_empty_broker();
        fd_close(b);
}

TEST_MAIN(BROKER_TEST(test_answer), BROKER_TEST(test_refused), BROKER_TEST(test_pool), BROKER_TEST(test_fallback),
          BROKER_TEST(test_handed_back), BROKER_TEST_WITH_HELPER(test_answer), BROKER_TEST_WITH_HELPER(test_handed_back))
