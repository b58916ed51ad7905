/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The scopes that a broker tells the workers. */

#include "handback-fixture.h"

#include "handoff/scope.h"
#include "tcp-fixture.h"

#define SEQPACKET(name, ...) { .unit = name ".socket", .worker = name, .transport = TRANSPORT_SEQPACKET, __VA_ARGS__ }

/* Sends @request as a client of the listener @name, and returns the message that @worker gets. */
static Message hand_over(const char *name, int worker, const char *request) {
        int client = streq(name, "tcp") ? connect_tcp() : dial(name);
        Message m;

        say(client, request);
        m = take_message(worker, request);
        WAIT_FOR(n_in_broker() == 0);
        fd_close(client);
        return m;
}

static uint32_t assert_scope(Message m, Slice host, Slice items) {
        Scope s;

        assert_true(scope_decode(m.scope, &s));
        assert_int_equal(s.asks, items.n == 0);
        assert_true(slice_equal(s.host, host));
        if (items.n > 0)
                assert_true(slice_equal(slice_skip(s.items, 2 + host.n), items));
        return s.generation;
}

#define GET(path, host) "GET " path " HTTP/1.1\r\nHost: " host "\r\n\r\n"

static void test_messages(void **state) {
        int a = listen_type_at("a", SOCK_SEQPACKET, 8), b = listen_type_at("b", SOCK_SEQPACKET, 8);
        const Slice host = SLICE_LITERAL("h"), site = SLICE_LITERAL("p\1/x\4/api"), api = SLICE_LITERAL("p\4/api");
        uint32_t generation;

        USE(SEQPACKET("a", .protocols = 1U << PROBE_HTTP | 1U << PROBE_SSH), SEQPACKET("b", .path = "/api"));
        generation = assert_scope(hand_over("public", a, GET("/", "h")), host, site);
        assert_int_equal(assert_scope(hand_over("public", b, GET("/api/x", "H:80")), host, api), generation);

        /* From the cache, and for another host. */
        assert_int_equal(assert_scope(hand_over("public", a, GET("/", "h")), host, site), generation);
        (void) assert_scope(hand_over("public", a, GET("/", "www.example.org")), SLICE_LITERAL("www.example.org"), site);
        (void) assert_scope(hand_over("public", a, GET("/", "www.example.net")), SLICE_LITERAL("www.example.net"), site);

        /* Without a host, and without HTTP. */
        (void) assert_scope(hand_over("public", a, "GET / HTTP/1.0\r\n\r\n"), (Slice){}, (Slice){});
        assert_int_equal(hand_over("public", a, "SSH-2.0-x\r\n").scope.n, 0);

        /* A worker that does not hand back is told no scope, and has no seal. */
        USE(SEQPACKET("a", .keeps_clients = true), SEQPACKET("b", .path = "/api"));
        assert_int_equal(hand_over("public", a, GET("/", "h")).scope.n, 0);
        assert_int_equal(hand_over("public", a, GET("/", "h")).seal.n, 0);
        (void) assert_scope(hand_over("public", b, GET("/api", "h")), host, api);

        /* Other routes: another generation. */
        USE(SEQPACKET("a"));
        assert_int_not_equal(assert_scope(hand_over("public", a, GET("/api", "h")), host, SLICE_LITERAL("p\1/")), generation);

        fd_close(a);
        fd_close(b);
}

/* Many more hosts than the cache has places: each gets its own scope. */
static void test_many_hosts(void **state) {
        int a = listen_type_at("a", SOCK_SEQPACKET, 8);

        USE(SEQPACKET("a"));
        for (unsigned i = 0; i < SCOPE_CACHE_SIZE * 3 / 2; i++) {
                char request[128], host[32];

                (void) snprintf(host, sizeof(host), "h%u.example", i * 2654435761U);
                (void) snprintf(request, sizeof(request), GET("/", "%s"), host);
                (void) assert_scope(hand_over("public", a, request), slice_from_string(host), SLICE_LITERAL("p\1/"));
        }

        fd_close(a);
}

/* The listener decides, and so does the source. Neither gets the scope of the other. */
static void test_listener_and_source(void **state) {
        int a = listen_type_at("a", SOCK_SEQPACKET, 8), b = listen_type_at("b", SOCK_SEQPACKET, 8);
        const Slice host = SLICE_LITERAL("h"), site = SLICE_LITERAL("p\1/x\6/admin"), all = SLICE_LITERAL("p\1/");
        AddressRange range = { .family = AF_INET, .address = { 127, 0, 0, 1 }, .n_bits = 32 };
        Config *config;

        add_tcp("tcp");
        USE(SEQPACKET("a"), SEQPACKET("b", .path = "/admin", .listener = "tcp"));
        for (size_t i = 0; i < 2; i++) {
                (void) assert_scope(hand_over("public", a, GET("/", "h")), host, all);
                (void) assert_scope(hand_over("tcp", a, GET("/", "h")), host, site);
        }

        config = config_of((const RouteSpec[]){ SEQPACKET("a"), SEQPACKET("b", .path = "/admin") }, 2);
        config->routes[1].match.sources = calloc(1, sizeof(range));
        assert_non_null(config->routes[1].match.sources);
        config->routes[1].match.sources[0] = range;
        config->routes[1].match.n_sources = 1;
        use_config(config);
        for (size_t i = 0; i < 2; i++) {
                (void) assert_scope(hand_over("public", a, GET("/", "h")), host, all);
                (void) assert_scope(hand_over("tcp", a, GET("/", "h")), host, site);
        }

        fd_close(a);
        fd_close(b);
}

TEST_MAIN(BROKER_TEST(test_messages),
          BROKER_TEST(test_many_hosts),
          BROKER_TEST(test_listener_and_source))
