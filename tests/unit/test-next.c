/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpass_next(): clients that keep their connection wander between two workers of a broker, request by request. */

#include "next-fixture.h"

static void test_wander(void **state) {
        struct fdpass *f;
        World w;
        int fd;

        world_open(&w, connect_tcp());
        fd = begin(&w, &f);
        assert_int_equal(fdpass_next(fd, f, &w.args), -EAGAIN);

        for (unsigned i = 0; i < 50; i++) {
                /* Requests of the worker's own. */
                ask(&w, fd, GET("/x?/api"));
                assert_int_equal(fdpass_next(fd, f, &w.args), FDPASS_NEXT_OWN);
                serve(fd, GET("/x?/api"));
                read_answer(w.client);
                assert_int_equal(fdpass_next(fd, f, &w.args), -EAGAIN);

                ask(&w, fd, GET("/api/1"));
                assert_int_equal(fdpass_next(fd, f, &w.args), FDPASS_NEXT_RETURNED);
                leave(fd, f);

                fd = take(w.api, &f);
                assert_string_equal(fdpass_listener(f), "tcp");
                serve(fd, GET("/api/1"));
                read_answer(w.client);

                ask(&w, fd, GET("/"));
                assert_int_equal(fdpass_next(fd, f, &w.args), FDPASS_NEXT_RETURNED);
                leave(fd, f);

                fd = take(w.site, &f);
                assert_string_equal(fdpass_listener(f), "tcp");
                serve(fd, GET("/"));
                read_answer(w.client);
        }

        assert_int_equal(n_returned(), 100);
        leave(fd, f);
        world_close(&w);
}

/* Requests that the worker would serve, and those that it hands back, each behind a first one. */
static void test_requests(void **state) {
        static const struct {
                const char *request;
                bool is_own;
                bool is_for_api;
        } cases[] = {
                { GET("/a/b"), true, false },
                { "POST / HTTP/1.1\r\nHost: EXAMPLE.org:80\r\nContent-Length: 3\r\n\r\nabc", true, false },
                { GET("/apis"), true, false },
                { GET("/api"), false, true },
                { "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", false, false }, /* another host, the same route */
                { GET("/a%20b"), false, false },
                { "GET / HTTP/1.0\r\nHost: example.org\r\n\r\n", false, false },
                { "GET http://example.org/api HTTP/1.1\r\nHost: example.org\r\n\r\n", false, true },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                struct fdpass *f;
                World w;
                int fd;

                if (i == 0)
                        world_open(&w, connect_tcp());
                else
                        w.client = connect_tcp();

                fd = begin(&w, &f);
                ask(&w, fd, cases[i].request);
                assert_int_equal(fdpass_next(fd, f, &w.args), cases[i].is_own ? FDPASS_NEXT_OWN : FDPASS_NEXT_RETURNED);
                if (!cases[i].is_own) {
                        leave(fd, f);
                        fd = take(cases[i].is_for_api ? w.api : w.site, &f);
                }
                serve(fd, cases[i].request);
                read_answer(w.client);
                leave(fd, f);

                if (i + 1 == ELEMENTSOF(cases))
                        world_close(&w);
                else
                        fd_close(w.client);
        }
}

/* A request that comes in two parts goes back with the first one. The broker waits for the other. */
static void test_cut(void **state) {
        const char *request = GET("/api");
        struct fdpass *f;
        World w;
        int fd;

        world_open(&w, connect_tcp());
        fd = begin(&w, &f);

        for (size_t n = 1; n < strlen(request); n++) {
                ask_part(&w, fd, request, n);
                assert_int_equal(fdpass_next(fd, f, &w.args), FDPASS_NEXT_RETURNED);
                leave(fd, f);
                WAIT_FOR(n_returned() == 2 * n - 1);
                assert_false(has_event(w.api, POLLIN));

                say(w.client, request + n);
                fd = take(w.api, &f);
                serve(fd, request);
                read_answer(w.client);

                fd = wander(&w, fd, &f, w.site, GET("/"));
        }

        leave(fd, f);
        world_close(&w);
}

/* The caller has read the beginning of the next request, at every length, or further requests too. */
static void test_received(void **state) {
        const char *request = GET("/api"), *own = GET("/x");
        struct fdpass *f;
        World w;
        int fd;

        world_open(&w, connect_tcp());
        fd = begin(&w, &f);

        for (size_t n = 1; n <= strlen(own); n++) {
                char received[128];

                ask(&w, fd, own);
                assert_int_equal(recv(fd, received, n, 0), n);
                w.args.received = received;
                w.args.received_len = n;
                assert_int_equal(fdpass_next(fd, f, &w.args), FDPASS_NEXT_OWN);
                assert_int_equal(recv(fd, received + n, sizeof(received) - n, MSG_DONTWAIT), n < strlen(own) ? (ssize_t) (strlen(own) - n) : -1);
        }

        for (size_t n = 1; n <= strlen(request); n++) {
                char received[128];
                size_t n_consumed;

                ask(&w, fd, request);
                assert_int_equal(recv(fd, received, n, 0), n);
                w.args.received = received;
                w.args.received_len = n;
                assert_int_equal(fdpass_next(fd, f, &w.args), FDPASS_NEXT_RETURNED);
                leave(fd, f);

                fd = take(w.api, &f);
                assert_memory_equal(fdpass_consumed(f, &n_consumed), request, n);
                assert_int_equal(n_consumed, n);
                if (n < strlen(request))
                        serve(fd, request + n);
                else
                        assert_int_equal(send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 38, 0), 38);
                read_answer(w.client);

                w.args.received_len = 0;
                fd = wander(&w, fd, &f, w.site, GET("/"));
        }

        leave(fd, f);
        world_close(&w);
}

/* Heads up to the limit, and one byte more. */
static void test_long_head(void **state) {
        static char request[16385 + 1];
        struct fdpass *f;
        World w;
        int fd;

        world_open(&w, connect_tcp());
        for (size_t n = 16384; n <= 16385; n++) {
                Config *config = config_of((const RouteSpec[]){ SITE, API }, 2);
                int k = snprintf(request, sizeof(request), "GET / HTTP/1.1\r\nHost: example.org\r\nX: ");

                config->listener_default.max_head_size = 65536;
                use_config(config);
                fd = begin(&w, &f);

                memset(request + k, 'x', n - (size_t) k - 4);
                strcpy(request + n - 4, "\r\n\r\n");
                ask(&w, fd, request);
                assert_int_equal(fdpass_next(fd, f, &w.args), n == 16384 ? FDPASS_NEXT_OWN : FDPASS_NEXT_RETURNED);
                if (n > 16384) {
                        leave(fd, f);
                        fd = take(w.site, &f);
                }
                serve(fd, request);
                read_answer(w.client);
                leave(fd, f);
                fd_close(w.client);
                w.client = n == 16384 ? connect_tcp() : -EBADF;
        }

        world_close(&w);
}

/* Addresses of a PROXY header, and the client's name, stay with it. */
static void test_facts(void **state) {
        static const uint8_t proxy[] = "PROXY TCP4 192.0.2.7 198.51.100.1 4321 80\r\n" GET("/");
        Config *config = config_of((const RouteSpec[]){ SITE, API }, 2);
        const struct sockaddr_in *peer;
        char id[128];
        size_t n_id, n;
        struct fdpass *f;
        World w;
        int fd;

        world_open(&w, connect_tcp());
        trust_all_proxies(config, PROXY_PROTOCOL_REQUIRE);
        use_config(config);
        say(w.client, (const char *) proxy);
        fd = take(w.site, &f);
        serve(fd, GET("/"));
        read_answer(w.client);
        assert_non_null(fdpass_unique_id(f, &n_id));
        memcpy(id, fdpass_unique_id(f, NULL), n_id);

        for (unsigned i = 0; i < 4; i++) {
                ask(&w, fd, i % 2 == 0 ? GET("/api") : GET("/"));
                assert_int_equal(fdpass_next(fd, f, &w.args), FDPASS_NEXT_RETURNED);
                leave(fd, f);
                fd = take(i % 2 == 0 ? w.api : w.site, &f);
                serve(fd, i % 2 == 0 ? GET("/api") : GET("/"));
                read_answer(w.client);

                peer = (const struct sockaddr_in *) (const void *) fdpass_peer(f, NULL);
                assert_int_equal(ntohl(peer->sin_addr.s_addr), 0xc0000207);
                assert_int_equal(ntohs(peer->sin_port), 4321);
                assert_memory_equal(fdpass_unique_id(f, &n), id, n_id);
                assert_int_equal(n, n_id);
        }

        leave(fd, f);
        world_close(&w);
}

TEST_MAIN(TCP_TEST(test_wander),
          TCP_TEST(test_requests),
          TCP_TEST(test_cut),
          TCP_TEST(test_received),
          TCP_TEST(test_long_head),
          TCP_TEST(test_facts))
