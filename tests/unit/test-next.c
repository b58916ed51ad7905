/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpass_next(): clients that keep their connection wander between two workers of a broker, request by request. */

#include "handback-fixture.h"

#include <sys/ioctl.h>

#include "tcp-fixture.h"

#include "broker/host-drain.h"
#include "libfdpass/fdpass.h"

#define SITE { .unit = "site.socket", .worker = "site", .transport = TRANSPORT_SEQPACKET }
#define API { .unit = "api.socket", .worker = "api", .transport = TRANSPORT_SEQPACKET, .path = "/api" }
#define RETURN_CONNECTION 200 /* the descriptor that libfdpass chooses for it */

#define GET(path) "GET " path " HTTP/1.1\r\nHost: example.org\r\n\r\n"

/* Two workers, a broker, and a client. */
typedef struct World {
        int site, api, client;
        char path[64];
        struct fdpass_next_args args;
} World;

static void world_open(World *w, int client) {
        *w = (World){
                .site = listen_type_at("site", SOCK_SEQPACKET, 64),
                .api = listen_type_at("api", SOCK_SEQPACKET, 64),
                .client = client,
                .args = { .size = sizeof(w->args), .path = w->path },
        };
        assert_int_equal(handback_listen(t.broker, "return", listen_type_at("return", SOCK_SEQPACKET, 64)), 0);
        path_of("return", w->path);
        USE(SITE, API);
}

static void world_close(World *w) {
        fd_close(w->client);
        WAIT_FOR(n_in_broker() == 0);
        fd_close(w->site);
        fd_close(w->api);
}

static int take(int worker, struct fdpass **ret) {
        int fd;

        WAIT_FOR(has_event(worker, POLLIN));
        fd = fdpass_accept(worker, SOCK_CLOEXEC | SOCK_NONBLOCK | FDPASS_ANY_SENDER, ret);
        assert_true(fd >= 0);
        return fd;
}

static void leave(int fd, struct fdpass *f) {
        fd_close(fd);
        fdpass_free(f);
}

static size_t n_readable(int fd) {
        int n;

        assert_int_equal(ioctl(fd, FIONREAD, &n), 0);
        return (size_t) n;
}

/* The client sends @n bytes. Returns when they are in the worker's socket @fd. */
static void ask_part(const World *w, int fd, const char *request, size_t n) {
        assert_int_equal(send(w->client, request, n, 0), n);
        WAIT_FOR(n_readable(fd) == n);
}

static void ask(const World *w, int fd, const char *request) {
        ask_part(w, fd, request, strlen(request));
}

/* The worker reads exactly this, and answers it. */
static void serve(int fd, const char *request) {
        char buffer[65536];
        size_t n = strlen(request);

        WAIT_FOR(n_readable(fd) >= n);
        assert_int_equal(recv(fd, buffer, n, 0), n);
        assert_memory_equal(buffer, request, n);
        assert_int_equal(send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 38, 0), 38);
}

static void read_answer(int client) {
        char buffer[38];

        assert_int_equal(recv(client, buffer, sizeof(buffer), MSG_WAITALL), sizeof(buffer));
}

/* Accepts a client whose first request is for the site. */
static int begin(World *w, struct fdpass **ret) {
        int fd;

        say(w->client, GET("/"));
        fd = take(w->site, ret);
        serve(fd, GET("/"));
        read_answer(w->client);
        return fd;
}

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

                ask(&w, fd, GET("/"));
                assert_int_equal(fdpass_next(fd, f, &w.args), FDPASS_NEXT_RETURNED);
                leave(fd, f);
                fd = take(w.site, &f);
                serve(fd, GET("/"));
                read_answer(w.client);
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
                ask(&w, fd, GET("/"));
                assert_int_equal(fdpass_next(fd, f, &w.args), FDPASS_NEXT_RETURNED);
                leave(fd, f);
                fd = take(w.site, &f);
                serve(fd, GET("/"));
                read_answer(w.client);
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

/* The ends of a client, and a descriptor that blocks. */
static void test_ends(void **state) {
        struct linger reset = { .l_onoff = 1 };
        struct fdpass *f;
        World w;
        int fd;

        world_open(&w, connect_tcp());

        fd = begin(&w, &f);
        assert_int_equal(fd_nonblock(fd, false), 0);
        ask(&w, fd, GET("/"));
        assert_int_equal(fdpass_next(fd, f, &w.args), FDPASS_NEXT_OWN);
        serve(fd, GET("/"));
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){ .tv_usec = 1000 }, sizeof(struct timeval)), 0);
        assert_int_equal(fdpass_next(fd, f, &w.args), -EAGAIN);
        assert_int_equal(shutdown(w.client, SHUT_WR), 0);
        WAIT_FOR(has_event(fd, POLLRDHUP));
        assert_int_equal(fdpass_next(fd, f, &w.args), FDPASS_NEXT_END);
        leave(fd, f);
        fd_close(w.client);

        w.client = connect_tcp();
        fd = begin(&w, &f);
        assert_int_equal(setsockopt(w.client, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
        fd_close(w.client);
        WAIT_FOR(has_event(fd, POLLRDHUP));
        assert_int_equal(fdpass_next(fd, f, &w.args), -ECONNRESET);
        assert_int_equal(fdpass_next(fd, f, NULL), FDPASS_NEXT_END);
        leave(fd, f);

        w.client = -EBADF;
        world_close(&w);
}

/*
 * Without the path of the return socket: once a worker has called fdpass_next(), a client brings the connection on which
 * it and others go back.
 */
static void test_return_connection(void **state) {
        struct fdpass *f;
        World w;
        int fd;

        world_open(&w, connect_tcp());
        w.args.path = NULL;
        say(w.client, GET("/api"));
        fd = take(w.api, &f);
        assert_int_equal(fdpass_next(fd, f, &w.args), FDPASS_NEXT_OWN);
        serve(fd, GET("/api"));
        read_answer(w.client);
        ask(&w, fd, GET("/"));
        assert_true(fdpass_next(fd, f, &w.args) < 0); /* there is nothing at the usual path */
        leave(fd, f);
        fd_close(w.client);

        w.client = connect_tcp();
        fd = begin(&w, &f);
        WAIT_FOR(has_event(RETURN_CONNECTION, POLLIN)); /* the broker is ready */
        for (int i = 0; i < 10; i++) {
                ask(&w, fd, GET("/api"));
                assert_int_equal(fdpass_next(fd, f, &w.args), FDPASS_NEXT_RETURNED);
                leave(fd, f);
                fd = take(w.api, &f);
                serve(fd, GET("/api"));
                read_answer(w.client);

                ask(&w, fd, GET("/"));
                assert_int_equal(fdpass_next(fd, f, &w.args), FDPASS_NEXT_RETURNED);
                leave(fd, f);
                fd = take(w.site, &f);
                serve(fd, GET("/"));
                read_answer(w.client);
        }
        leave(fd, f);
        world_close(&w);
}

/* The same again, with another broker: the connection of the first one has ended. */
static void test_return_connection_again(void **state) {
        struct fdpass *f;
        World w;
        int fd;

        world_open(&w, connect_tcp());
        w.args.path = NULL;
        fd = begin(&w, &f);
        WAIT_FOR(has_event(RETURN_CONNECTION, POLLIN));
        ask(&w, fd, GET("/api"));
        assert_int_equal(fdpass_next(fd, f, &w.args), FDPASS_NEXT_RETURNED);
        leave(fd, f);
        fd = take(w.api, &f);
        serve(fd, GET("/api"));
        read_answer(w.client);
        leave(fd, f);
        world_close(&w);
}

/* A reload gives the site's path to the other worker. That counts from the next hand-back on. */
static void test_reload(void **state) {
        struct fdpass *f;
        World w;
        int fd;

        world_open(&w, connect_tcp());
        fd = begin(&w, &f);
        USE(SITE, { .unit = "api.socket", .worker = "api", .transport = TRANSPORT_SEQPACKET, .path = "/x" });

        ask(&w, fd, GET("/api"));
        assert_int_equal(fdpass_next(fd, f, &w.args), FDPASS_NEXT_RETURNED);
        leave(fd, f);
        fd = take(w.site, &f);
        serve(fd, GET("/api"));
        read_answer(w.client);

        ask(&w, fd, GET("/x"));
        assert_int_equal(fdpass_next(fd, f, &w.args), FDPASS_NEXT_RETURNED);
        leave(fd, f);
        fd = take(w.api, &f);
        serve(fd, GET("/x"));
        leave(fd, f);
        world_close(&w);
}

/* Clients that came on a persistent connection, several to a message, have scopes too. */
static void test_receiver(void **state) {
        int clients[6], fds[ELEMENTSOF(clients)];
        struct fdpass *f[ELEMENTSOF(clients)];
        struct fdpass_receiver *r;
        World w;

        world_open(&w, -EBADF);
        assert_int_equal(fdpass_receiver_new(w.site, 8, &r), 0);

        for (size_t i = 0, n = 1; i < ELEMENTSOF(clients); n = ELEMENTSOF(clients)) {
                for (size_t k = i; k < n; k++) {
                        clients[k] = connect_tcp();
                        say(clients[k], GET("/"));
                }
                for (; i < n; i++)
                        WAIT_FOR((fds[i] = fdpass_receive(r, SOCK_CLOEXEC | SOCK_NONBLOCK | FDPASS_ANY_SENDER, &f[i])) >= 0);
                WAIT_FOR(n_connections("site") == 1 && n_in_broker() == 0);
        }

        for (size_t i = 0; i < ELEMENTSOF(clients); i++) {
                w.client = clients[i];
                serve(fds[i], GET("/"));
                read_answer(w.client);
                ask(&w, fds[i], i % 2 == 0 ? GET("/x") : GET("/api"));
                assert_int_equal(fdpass_next(fds[i], f[i], &w.args), i % 2 == 0 ? FDPASS_NEXT_OWN : FDPASS_NEXT_RETURNED);
                leave(fds[i], f[i]);

                if (i % 2 == 0)
                        continue;

                fds[i] = take(w.api, &f[i]);
                serve(fds[i], GET("/api"));
                leave(fds[i], f[i]);
        }

        fdpass_receiver_free(r);
        close_all(clients, ELEMENTSOF(clients));
        w.client = -EBADF;
        world_close(&w);
}

/* Errors: the client is still the caller's, unchanged, and its request unread. */
static void test_errors(void **state) {
        struct fdpass_next_args other = { .size = sizeof(other) - 1 };
        int full, conns[8], n = 0;
        struct fdpass *f;
        char path[64];
        World w;
        int fd;

        world_open(&w, connect_tcp());
        fd = begin(&w, &f);
        assert_int_equal(fdpass_next(fd, f, &other), -EINVAL);

        ask(&w, fd, GET("/api"));
        path_of("nobody", path);
        w.args.path = path;
        assert_int_equal(fdpass_next(fd, f, &w.args), -ENOENT);

        /* A socket whose backlog is full. */
        full = listen_type_at("full", SOCK_SEQPACKET, 0);
        path_of("full", path);
        while (n < (int) ELEMENTSOF(conns)) {
                struct sockaddr_un sun;
                socklen_t len;

                assert_int_equal(address_from_path(path, &sun, &len), 0);
                conns[n] = handoff_connect_type(&sun, len, SOCK_SEQPACKET);
                if (conns[n] < 0)
                        break;
                n++;
        }
        assert_int_equal(fdpass_next(fd, f, &w.args), -EBUSY);
        assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
        close_all(conns, (size_t) n);
        fd_close(full);

        w.args.path = w.path;
        assert_int_equal(fdpass_next(fd, f, &w.args), FDPASS_NEXT_RETURNED);
        leave(fd, f);
        fd = take(w.api, &f);
        serve(fd, GET("/api"));
        leave(fd, f);
        world_close(&w);
}

/* A client over AF_UNIX can't go back. Its own requests are served. */
static void test_unix(void **state) {
        struct fdpass *f;
        World w;
        int fd;

        world_open(&w, dial("public"));
        fd = begin(&w, &f);
        ask(&w, fd, GET("/x"));
        assert_int_equal(fdpass_next(fd, f, &w.args), FDPASS_NEXT_OWN);
        serve(fd, GET("/x"));
        read_answer(w.client);
        ask(&w, fd, GET("/api"));
        assert_int_equal(fdpass_next(fd, f, &w.args), -EPROTOTYPE);
        leave(fd, f);
        world_close(&w);
}

/* Without metadata there is no scope, and a client comes back with each request. */
static void test_no_scope(void **state) {
        struct fdpass *f;
        World w;
        int fd;

        world_open(&w, connect_tcp());
        USE({ .unit = "site.socket", .worker = "site", .transport = TRANSPORT_SEQPACKET, .no_metadata = true });
        fd = begin(&w, &f);
        ask(&w, fd, GET("/"));
        assert_int_equal(fdpass_next(fd, f, &w.args), FDPASS_NEXT_RETURNED);
        leave(fd, f);
        fd = take(w.site, &f);
        serve(fd, GET("/"));
        leave(fd, f);
        world_close(&w);
}

/* On a drained host a client goes back after its response, and is parked. Its next request finds its worker. */
static void test_drained(void **state) {
        struct fdpass *f;
        World w;
        int fd;

        (void) host_drain_set(t.broker, "");
        world_open(&w, connect_tcp());
        fd = begin(&w, &f);
        assert_int_equal(fdpass_next(fd, f, &w.args), FDPASS_NEXT_RETURNED);
        leave(fd, f);
        WAIT_FOR(n_parked() == 1);

        say(w.client, GET("/api/1"));
        fd = take(w.api, &f);
        serve(fd, GET("/api/1"));
        leave(fd, f);
        world_close(&w);
}

TEST_MAIN(TCP_TEST(test_drained),
          TCP_TEST(test_wander),
          TCP_TEST(test_requests),
          TCP_TEST(test_cut),
          TCP_TEST(test_received),
          TCP_TEST(test_long_head),
          TCP_TEST(test_facts),
          TCP_TEST(test_ends),
          TCP_TEST(test_return_connection),
          TCP_TEST(test_return_connection_again),
          TCP_TEST(test_reload),
          TCP_TEST(test_receiver),
          TCP_TEST(test_errors),
          TCP_TEST(test_unix),
          TCP_TEST(test_no_scope))
