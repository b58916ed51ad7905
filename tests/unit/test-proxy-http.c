/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpass-proxy --http: each request goes to the backend that it is for, and the client is handed back for any other. */

#include "service-fixture.h"

#include "handoff/scope.h"
#include "workers/proxy.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static struct {
        Fixture worker, back; /* the proxy's socket, and the broker's return socket */
        Log *log;
        Proxy *proxy;
        int backend;          /* listens at @path */
        char path[64];
} t;

static int setup(void **state) {
        const Proxy null = PROXY_NULL(NULL);
        struct sockaddr_un un;
        char name[] = "in", *names[] = { name, NULL };
        socklen_t n;
        int fd;

        (void) remember_fds(state);
        fixture_open(&t.worker, SOCK_SEQPACKET, SOCK_NONBLOCK, 64);
        fixture_open_at(&t.back, ".return", SOCK_SEQPACKET, SOCK_NONBLOCK, 64);
        (void) snprintf(t.path, sizeof(t.path), "/tmp/fdpass-unit-%i-backend.sock", (int) getpid());
        (void) unlink(t.path);
        assert_int_equal(address_from_path(t.path, &un, &n), 0);
        t.backend = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(t.backend, (struct sockaddr *) &un, n), 0);
        assert_int_equal(listen(t.backend, 8), 0);
        t.log = log_new("test");
        log_set_level(t.log, LOG_EMERG);

        t.proxy = calloc(1, sizeof(*t.proxy));
        *t.proxy = null;
        t.proxy->service.log = t.log;
        t.proxy->is_http = true;
        t.proxy->return_path = t.back.path;
        t.proxy->pipes.n_max = 4;
        assert_int_equal(backends_add(&t.proxy->backends, t.path), 0);

        fd = fcntl(t.worker.fd, F_DUPFD_CLOEXEC, 0);
        assert_int_equal(service_init_with(&t.proxy->service, &fd, names, 1), 0);
        assert_int_equal(proxy_init(t.proxy), 0);
        return 0;
}

static int teardown(void **state) {
        proxy_done(t.proxy);
        service_done(&t.proxy->service);
        free(t.proxy);
        t.backend = fd_close(t.backend);
        (void) unlink(t.path);
        fixture_close(&t.worker);
        fixture_close(&t.back);
        t.log = log_free(t.log);
        return compare_fds(state);
}

#define HTTP_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define RUN_UNTIL(condition) WAIT_FOR(t.proxy->service.event, condition)

static void say(int fd, const char *text) {
        assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t) strlen(text));
}

/* A client of the route for host "h" and path /api, which has sent @bytes. Returns the backend's end. */
static int begin(Guest *ret, const char *bytes, Slice consumed) {
        Message m = MESSAGE_NULL;
        ScopeWriter w;

        scope_begin(&w, 1);
        assert_true(scope_add(&w, FDPASS_SCOPE_HOST, SLICE_LITERAL("h")));
        assert_true(scope_add(&w, FDPASS_SCOPE_PREFIX, SLICE_LITERAL("/api")));
        m.scope = scope_value(&w);
        m.listener = SLICE_LITERAL("web");
        m.consumed = consumed;
        *ret = guest_send(&t.worker, &m);
        say(ret->fd, bytes);
        RUN_UNTIL(has_event(t.backend, POLLIN));
        return accept4(t.backend, NULL, NULL, SOCK_CLOEXEC);
}

/* The next bytes at @fd are @text, and no further ones come in some turns. */
static void expect_only(int fd, const char *text) {
        char got[512] = "";
        size_t n = 0;

        while (n < strlen(text)) {
                RUN_UNTIL(has_event(fd, POLLIN));
                ssize_t k = recv(fd, got + n, strlen(text) - n, MSG_DONTWAIT);
                assert_true(k > 0);
                n += (size_t) k;
        }
        assert_string_equal(got, text);
        for (int i = 0; i < 4; i++)
                assert_true(sd_event_run(t.proxy->service.event, 1000) >= 0);
        assert_false(has_event(fd, POLLIN));
}

/* The broker gets the client with @text unread in its socket. The backend sees the end. */
static void expect_back(const Guest *g, int server, const char *text) {
        uint8_t bytes[FDPASS_MESSAGE_MAX];
        char got[512] = "";
        int conn, fd = -EBADF;
        Message m;
        size_t n;

        RUN_UNTIL(has_event(t.back.fd, POLLIN));
        conn = accept4(t.back.fd, NULL, NULL, SOCK_CLOEXEC);
        assert_int_equal(handoff_receive_message(conn, 0, bytes, sizeof(bytes), &n, &fd), 0);
        assert_int_equal(message_decode(bytes, n, &m), 0);
        assert_true(slice_equal(m.listener, SLICE_LITERAL("web")));
        assert_int_equal(m.consumed.n, 0);
        assert_true(recv(fd, got, sizeof(got) - 1, MSG_DONTWAIT) > 0);
        assert_string_equal(got, text);
        assert_connected(fd, g->fd);
        fd_close(fd);
        fd_close(conn);

        RUN_UNTIL(has_event(server, POLLIN));
        assert_int_equal(recv(server, got, 1, MSG_DONTWAIT), 0);
        RUN_UNTIL(t.proxy->service.n_busy == 0);
}

static void end(Guest *g, int server) {
        fd_close(server);
        guest_leave(g);
        RUN_UNTIL(t.proxy->service.n_busy == 0);
}

/* Requests of the route stay, and the first other one goes back untouched. */
static void test_stays_and_goes(void **state) {
        Guest g;
        int server = begin(&g, GET("/api/1"), (Slice){});

        expect_only(server, GET("/api/1"));
        say(server, OK);
        expect_only(g.fd, OK);
        say(g.fd, GET("/api/2"));
        expect_only(server, GET("/api/2"));
        say(server, OK);
        expect_only(g.fd, OK);
        say(g.fd, GET("/other"));
        expect_back(&g, server, GET("/other"));
        end(&g, server);
}

/* Pipelined requests wait for their turn. So the backend gets its own ones only, and no response is overtaken. */
static void test_pipelined(void **state) {
        Guest g;
        int server = begin(&g, GET("/api/1") GET("/api/2") GET("/") GET("/api/3"), (Slice){});

        expect_only(server, GET("/api/1"));
        say(server, OK);
        expect_only(server, GET("/api/2"));
        expect_only(g.fd, OK);
        say(server, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha");
        expect_only(g.fd, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha");
        say(server, "lf");
        expect_only(g.fd, "lf");
        expect_back(&g, server, GET("/") GET("/api/3"));
        end(&g, server);
}

/* Exchanges after which the client is between two requests: the request, the response, and what the client says next. */
static void test_framing(void **state) {
        static const struct {
                const char *request, *response;
        } cases[] = {
                { "POST /api HTTP/1.1\r\nHost: h\r\nContent-Length: 18\r\n\r\nGET / HTTP/1.1\r\n\r\n", OK },
                { "POST /api HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n", OK },
                { "HEAD /api HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" },
                { GET("/api"), "HTTP/1.1 204 No Content\r\n\r\n" },
                { GET("/api"), "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n" },
                { GET("/api"), "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" OK },
                { GET("/api"), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n" "GET" "\r\n0\r\n\r\n" },
                { GET("/api"), "HTTP/1.1 404 Not Found\r\ncontent-length:0\r\n\r\n" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Guest g;
                int server = begin(&g, cases[i].request, (Slice){});

                expect_only(server, cases[i].request);
                say(server, cases[i].response);
                expect_only(g.fd, cases[i].response);
                say(g.fd, GET("/"));
                expect_back(&g, server, GET("/"));
                end(&g, server);
        }
}

/* The next request comes in two pieces: only a whole head is the backend's for certain. */
static void test_half_heads(void **state) {
        const char next[] = GET("/api/2");

        for (size_t i = 1; i < sizeof(next) - 1; i += 3) {
                char half[sizeof(next)];
                Guest g;
                int server = begin(&g, GET("/api/1"), (Slice){});

                expect_only(server, GET("/api/1"));
                say(server, OK);
                expect_only(g.fd, OK);
                (void) snprintf(half, i + 1, "%s", next);
                say(g.fd, half);
                expect_back(&g, server, half);
                end(&g, server);
        }
}

/* The first request in two pieces, at each byte, and with a part that came with the handoff. */
static void test_first_request(void **state) {
        const char first[] = "POST /api HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
        const size_t n_head = sizeof(first) - 1 - 3;

        for (size_t i = 0; i < sizeof(first) - 1; i += 4) {
                Guest g;
                int server = begin(&g, first + i, (Slice){ (const uint8_t *) first, i });

                expect_only(server, first);
                say(server, OK);
                expect_only(g.fd, OK);
                say(g.fd, GET("/"));
                expect_back(&g, server, GET("/"));
                end(&g, server);
        }

        for (size_t i = n_head; i < sizeof(first) - 1; i++) { /* the broker hands over whole heads */
                char begun[sizeof(first)];
                Guest g;
                int server;

                (void) snprintf(begun, i + 1, "%s", first);
                server = begin(&g, begun, (Slice){});
                expect_only(server, begun);
                say(g.fd, first + i);
                expect_only(server, first + i);
                say(server, OK);
                expect_only(g.fd, OK);
                say(g.fd, GET("/"));
                expect_back(&g, server, GET("/"));
                end(&g, server);
        }
}

/* Bytes that can't be followed are moved as without --http. */
static void test_not_followed(void **state) {
        static const struct {
                const char *request, *response;
        } cases[] = {
                { "GET /api HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
                  "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n" },
                { "SSH-2.0-x\r\n", "SSH-2.0-y\r\n" },
                { GET("/api"), "HTTP/1.1 200 OK\r\n\r\nuntil the end" },
                { GET("/api"), "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok" },
                { "GET /api HTTP/1.1\nHost: h\n\n", OK },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Guest g;
                int server = begin(&g, cases[i].request, (Slice){});

                expect_only(server, cases[i].request);
                say(server, cases[i].response);
                expect_only(g.fd, cases[i].response);
                say(g.fd, GET("/"));
                expect_only(server, GET("/"));
                say(server, "more");
                expect_only(g.fd, "more");
                assert_false(has_event(t.back.fd, POLLIN));
                end(&g, server);
        }
}

/* The end of a client goes to the backend at once, also while its response is being made. */
static void test_client_ends(void **state) {
        char byte;
        Guest g;
        int server = begin(&g, GET("/api"), (Slice){});

        expect_only(server, GET("/api"));
        assert_int_equal(shutdown(g.fd, SHUT_WR), 0);
        RUN_UNTIL(has_event(server, POLLIN));
        assert_int_equal(recv(server, &byte, 1, MSG_DONTWAIT), 0);
        say(server, OK);
        expect_only(g.fd, OK);
        fd_close(server);
        RUN_UNTIL(has_event(g.fd, POLLIN));
        assert_int_equal(recv(g.fd, &byte, 1, MSG_DONTWAIT), 0);
        guest_leave(&g);
        RUN_UNTIL(t.proxy->service.n_busy == 0);

        /* Between two requests. */
        server = begin(&g, GET("/api"), (Slice){});
        expect_only(server, GET("/api"));
        say(server, OK);
        expect_only(g.fd, OK);
        guest_leave(&g);
        RUN_UNTIL(has_event(server, POLLIN));
        assert_int_equal(recv(server, &byte, 1, MSG_DONTWAIT), 0);
        fd_close(server);
        RUN_UNTIL(t.proxy->service.n_busy == 0);
}

/* A client that can't be handed back is closed, and the backend does not get the request. */
static void test_no_way_back(void **state) {
        char byte;
        Guest g;
        int server;

        t.proxy->return_path = "/nonexistent/return.sock";
        server = begin(&g, GET("/api"), (Slice){});
        expect_only(server, GET("/api"));
        say(server, OK);
        expect_only(g.fd, OK);
        say(g.fd, GET("/"));
        RUN_UNTIL(t.proxy->service.n_busy == 0);
        assert_true(recv(g.fd, &byte, 1, 0) <= 0);
        assert_int_equal(recv(server, &byte, 1, 0), 0);
        end(&g, server);
}

/* Moves @n bytes from one end to the other, and compares them. */
static void move(int from, int to, size_t n) {
        static uint8_t out[8192], in[8192];
        size_t sent = 0, got = 0;

        while (got < n) {
                RUN_UNTIL(has_event(to, POLLIN) || (sent < n && has_event(from, POLLOUT)));
                if (sent < n && has_event(from, POLLOUT)) {
                        for (size_t i = 0; i < sizeof(out); i++)
                                out[i] = (uint8_t) ((sent + i) % 251);
                        ssize_t k = send(from, out, MIN(sizeof(out), n - sent), MSG_DONTWAIT | MSG_NOSIGNAL);
                        sent += k > 0 ? (size_t) k : 0;
                }
                if (has_event(to, POLLIN)) {
                        ssize_t k = recv(to, in, MIN(sizeof(in), n - got), MSG_DONTWAIT);
                        for (ssize_t i = 0; i < k; i++)
                                assert_int_equal(in[i], (got + (size_t) i) % 251);
                        got += k > 0 ? (size_t) k : 0;
                }
        }
}

/* Large bodies in both directions, which go through pipes, and chunks of them. */
static void test_large_bodies(void **state) {
        enum { N = 3000000 };
        char request[128], response[128];
        Guest g;
        int server;

        (void) snprintf(request, sizeof(request), "POST /api HTTP/1.1\r\nHost: h\r\nContent-Length: %i\r\n\r\n", N);
        server = begin(&g, request, (Slice){});
        expect_only(server, request);
        move(g.fd, server, N);
        (void) snprintf(response, sizeof(response), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n", N);
        say(server, response);
        expect_only(g.fd, response);
        move(server, g.fd, N);
        say(server, "\r\n0\r\n\r\n");
        expect_only(g.fd, "\r\n0\r\n\r\n");

        say(g.fd, GET("/api"));
        expect_only(server, GET("/api"));
        (void) snprintf(response, sizeof(response), "HTTP/1.1 200 OK\r\nContent-Length: %i\r\n\r\n", N);
        say(server, response);
        expect_only(g.fd, response);
        move(server, g.fd, N);
        say(g.fd, GET("/"));
        expect_back(&g, server, GET("/"));
        assert_int_equal(t.proxy->pipes.n, t.proxy->pipes.n_idle);
        end(&g, server);
}

/* Without --http the requests are bytes like any others. */
static void test_off(void **state) {
        Guest g;
        int server;

        t.proxy->is_http = false;
        server = begin(&g, GET("/api") GET("/"), (Slice){});
        expect_only(server, GET("/api") GET("/"));
        assert_false(has_event(t.back.fd, POLLIN));
        end(&g, server);
}

TEST_MAIN(HTTP_TEST(test_stays_and_goes),
          HTTP_TEST(test_pipelined),
          HTTP_TEST(test_framing),
          HTTP_TEST(test_half_heads),
          HTTP_TEST(test_first_request),
          HTTP_TEST(test_not_followed),
          HTTP_TEST(test_client_ends),
          HTTP_TEST(test_no_way_back),
          HTTP_TEST(test_large_bodies),
          HTTP_TEST(test_off))
