/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Scopes of routes: their items in tables of few routes, and that they agree with decide_head() about random requests
 * in random tables.
 */

#include "test.h"

#include <arpa/inet.h>

#include "match/decide.h"
#include "match/match-scope.h"

/* A list in a literal, which lives as long as the test's function. */
#define LIST(...) ((char **) (uintptr_t) (const char *const[]){ __VA_ARGS__, NULL })

#define ROUTES_MAX 8

static MatchIndex *index_of(const RouteMatch *routes, size_t n) {
        MatchIndex *index;

        assert_int_equal(match_index_new(&index), 0);
        for (size_t i = 0; i < n; i++)
                assert_int_equal(match_index_add(index, &routes[i], "a.socket", i), 0);
        assert_int_equal(match_index_finish(index), 0);
        return index;
}

/* The items of a scope as text: "p/ x/api", or "ask". Without the host, which has to be @host. */
static const char *text_of(Slice value, const char *host) {
        static char text[FDPASS_SCOPE_MAX * 2];
        size_t n = 0;
        Scope s;

        assert_true(scope_decode(value, &s));
        assert_int_equal(s.generation, 7);
        if (s.asks)
                return "ask";

        assert_true(slice_equal(s.host, slice_from_string(host)));
        for (size_t i = 2 + s.host.n; i < s.items.n; i += 2 + (size_t) s.items.p[i + 1])
                n += (size_t) snprintf(text + n, sizeof(text) - n, "%s%c%.*s", n > 0 ? " " : "", s.items.p[i],
                                       s.items.p[i + 1], (const char *) s.items.p + i + 2);
        return text;
}

static const char *scope_of(const MatchIndex *index, const RouteMatch *routes, size_t pool, const char *host,
                            const char *listener) {
        ClientFacts facts = { .listener = listener };
        ScopeWriter w;
        ProbeName name;
        bool by_source;

        assert_true(probe_name_set(&name, slice_from_string(host)));
        facts.host = &name;
        match_scope_make(index, &routes[pool], pool, &facts, 7, &w, &by_source);
        assert_false(by_source);
        return text_of(scope_value(&w), host);
}

static void test_items(void **state) {
        const RouteMatch routes[] = {
                /* 0 */ { .hosts = LIST("split") },
                /* 1 */ { .hosts = LIST("split"), .paths = LIST("/api", "/chat") },
                /* 2 */ { .hosts = LIST("split"), .paths = LIST("/api/docs") },
                /* 3 */ { .hosts = LIST("whole") },
                /* 4 */ { .hosts = LIST("method") },
                /* 5 */ { .hosts = LIST("method"), .paths = LIST("/form"), .methods = LIST("POST") },
                /* 6 */ { .hosts = LIST("*.wild.org") },
                /* 7 */ { .hosts = LIST("*.org"), .paths = LIST("/below"), .priority = 1 },
                /* 8 */ { .paths = LIST("/everywhere"), .priority = 2 },
                /* 9 */ { .hosts = LIST("a.wild.org"), .paths = LIST("/own") },
                /* 10 */ { .hosts = LIST("listener"), .paths = LIST("/"), .listeners = LIST("http") },
                /* 11 */ { .hosts = LIST("listener"), .paths = LIST("/tls"), .listeners = LIST("https") },
                /* 12 */ { .hosts = LIST("nested"), .paths = LIST("/a", "/a/b", "/a/b/c", "/d") },
                /* 13 */ { .hosts = LIST("nested"), .paths = LIST("/a/b/x") },
                /* 14 */ { .hosts = LIST("name"), .name = (char *) (uintptr_t) "stream" },
                /* 15 */ { .hosts = LIST("name") },
                /* 16 */ { .hosts = LIST("get"), .methods = LIST("GET") },
                /* 17 */ { .hosts = LIST("get"), .paths = LIST("/x") },
        };
        static const struct {
                size_t pool;
                const char *host, *listener, *expected;
        } cases[] = {
                { 0, "split", "http", "p/ x/api x/chat x/everywhere" },
                { 1, "split", "http", "p/api x/api/docs p/chat" },
                { 2, "split", "http", "p/api/docs" },
                { 3, "whole", "http", "p/ x/everywhere" },
                { 4, "method", "http", "p/ x/everywhere x/form" },
                { 5, "method", "http", "ask" },
                { 6, "b.wild.org", "http", "p/ x/below x/everywhere" },
                { 6, "a.wild.org", "http", "p/ x/below x/everywhere x/own" },
                { 7, "a.wild.org", "http", "p/below" },
                { 8, "a.wild.org", "http", "p/everywhere" },
                { 9, "a.wild.org", "http", "p/own" },
                { 10, "listener", "http", "p/ x/everywhere" },
                { 10, "listener", "other", "ask" },
                { 11, "listener", "https", "p/tls" },
                { 12, "nested", "http", "p/a x/a/b/x p/d" },
                { 14, "name", "http", "ask" },
                { 15, "name", "http", "p/ x/everywhere" },
                { 16, "get", "http", "ask" },
                { 17, "get", "http", "p/x" },
        };
        _cleanup_(match_index_freep) MatchIndex *index = index_of(routes, ELEMENTSOF(routes));

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_string_equal(scope_of(index, routes, cases[i].pool, cases[i].host, cases[i].listener),
                                    cases[i].expected);
}

/* A route that another one with a condition beats everywhere covers nothing. One that comes first is not bothered. */
static void test_conditions(void **state) {
        HeaderMatch header = { (char *) (uintptr_t) "cookie", (char *) (uintptr_t) "*beta*" };
        BytesMatch torrent = { (uint8_t *) (uintptr_t) "\x13" "BitTorrent", 11 }, get = { (uint8_t *) (uintptr_t) "GET /", 5 };
        const RouteMatch routes[] = {
                /* 0 */ { .hosts = LIST("beta") },
                /* 1 */ { .hosts = LIST("beta"), .headers = &header, .n_headers = 1 },
                /* 2 */ { .hosts = LIST("first"), .priority = 1 },
                /* 3 */ { .hosts = LIST("first"), .headers = &header, .n_headers = 1 },
                /* 4 */ { .hosts = LIST("below") },
                /* 5 */ { .prefixes = &torrent, .n_prefixes = 1, .priority = 9 },
                /* 6 */ { .listeners = LIST("get"), .prefixes = &get, .n_prefixes = 1, .priority = 9 },
                /* 7 */ { .headers = &header, .n_headers = 1 },
        };
        _cleanup_(match_index_freep) MatchIndex *index = index_of(routes, ELEMENTSOF(routes));

        assert_string_equal(scope_of(index, routes, 0, "beta", "http"), "ask");
        assert_string_equal(scope_of(index, routes, 1, "beta", "http"), "ask");
        assert_string_equal(scope_of(index, routes, 2, "first", "http"), "p/");
        assert_string_equal(scope_of(index, routes, 4, "below", "http"), "p/");
        assert_string_equal(scope_of(index, routes, 2, "first", "get"), "ask");
}

/* The source decides, and the scope says so. */
static void test_sources(void **state) {
        AddressRange inside = { .family = AF_INET, .address = { 10 }, .n_bits = 8 };
        const RouteMatch routes[] = {
                { .hosts = LIST("h") },
                { .hosts = LIST("h"), .paths = LIST("/admin"), .sources = &inside, .n_sources = 1 },
                { .hosts = LIST("other") },
        };
        struct sockaddr_in source = { .sin_family = AF_INET };
        ProbeName name;
        ClientFacts facts = { .listener = "http", .source = (struct sockaddr *) &source, .host = &name };
        _cleanup_(match_index_freep) MatchIndex *index = index_of(routes, ELEMENTSOF(routes));
        bool by_source;
        ScopeWriter w;

        assert_true(probe_name_set(&name, SLICE_LITERAL("h")));

        source.sin_addr.s_addr = htonl(0x0a000001);
        match_scope_make(index, &routes[0], 0, &facts, 7, &w, &by_source);
        assert_true(by_source);
        assert_string_equal(text_of(scope_value(&w), "h"), "p/ x/admin");
        match_scope_make(index, &routes[1], 1, &facts, 7, &w, &by_source);
        assert_true(by_source);
        assert_string_equal(text_of(scope_value(&w), "h"), "p/admin");

        source.sin_addr.s_addr = htonl(0xc0000201);
        match_scope_make(index, &routes[0], 0, &facts, 7, &w, &by_source);
        assert_true(by_source);
        assert_string_equal(text_of(scope_value(&w), "h"), "p/");

        assert_true(probe_name_set(&name, SLICE_LITERAL("other")));
        match_scope_make(index, &routes[2], 2, &facts, 7, &w, &by_source);
        assert_false(by_source);

        /* A request without a host covers none. */
        facts.host = NULL;
        match_scope_make(index, &routes[0], 0, &facts, 7, &w, &by_source);
        assert_string_equal(text_of(scope_value(&w), ""), "ask");
}

/* Too many paths, or too long ones. */
static void test_limits(void **state) {
        enum { N = 120 };
        static char texts[N][300];
        static char *paths[N][2];
        char **host = LIST("h");
        static RouteMatch routes[N + 1];
        char expected[FDPASS_SCOPE_MAX * 2] = "p/";
        MatchIndex *index;

        for (size_t n = 0; n < N; n++) {
                (void) snprintf(texts[n], sizeof(texts[n]), "/p%03zu", n);
                paths[n][0] = texts[n];
                routes[n + 1] = (RouteMatch){ .hosts = host, .paths = paths[n] };
        }
        routes[0] = (RouteMatch){ .hosts = host };

        /* The path itself and 63 others, and one more. */
        for (size_t n = 0; n < 63; n++)
                strcat(strcat(expected, " x"), texts[n]);
        index = index_of(routes, 64);
        assert_string_equal(scope_of(index, routes, 0, "h", "http"), expected);
        assert_string_equal(scope_of(index, routes, 9, "h", "http"), "p/p008");
        match_index_free(index);

        index = index_of(routes, 65);
        assert_string_equal(scope_of(index, routes, 0, "h", "http"), "ask");
        assert_string_equal(scope_of(index, routes, 9, "h", "http"), "p/p008");
        match_index_free(index);

        /* 1024 bytes: 5 for the header, 3 for the host, 3 for "/", 1013 for 4 items. */
        for (size_t n = 0; n < 4; n++) {
                size_t length = n == 0 ? 1013 - 3 * 253 - 2 : 251;

                memset(texts[n], 'a' + (int) n, length);
                texts[n][0] = '/';
                texts[n][length] = 0;
        }
        index = index_of(routes, 5);
        assert_string_not_equal(scope_of(index, routes, 0, "h", "http"), "ask");
        match_index_free(index);

        texts[3][251] = 'x';
        texts[3][252] = 0;
        index = index_of(routes, 5);
        assert_string_equal(scope_of(index, routes, 0, "h", "http"), "ask");
        match_index_free(index);

        /* An item has one byte for its length. */
        memset(texts[0] + 1, 'x', 255);
        texts[0][256] = 0;
        index = index_of(routes, 2);
        assert_string_equal(scope_of(index, routes, 0, "h", "http"), "ask");
        assert_string_equal(scope_of(index, routes, 1, "h", "http"), "ask");
        match_index_free(index);
}

static uint64_t random_state = 1;

static size_t any(size_t n) {
        random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        return (size_t) (random_state >> 33) % n;
}

static const char *const hosts[] = { "a.b.c", "b.c", "x.b.c", "c", "*.b.c", "*.c", "[::1]", "192.0.2.1" },
                  *const route_paths[] = { "/", "/a", "/b", "/a/b", "/a/a", "/ab", "/a/b/c", "/b/a/b", "/a-b", "/%C3%A4" },
                  *const segments[] = { "a", "b", "c", "ab", "a-b", "a.b", "", ".", "..", ";", "%61", "%2f", "%C3%A4", "%c3%a4", "%20", "\\", "A" };

static char *text_at(const char *const *texts, size_t i) {
        return (char *) (uintptr_t) texts[i];
}

/* Some of @texts, each with a chance of one in @n, sorted as match_config_finish() does. NULL: none. */
static char **any_of(const char *const *texts, size_t n_texts, size_t n, char **ret) {
        size_t k = 0;

        for (size_t i = 0; i < n_texts; i++)
                if (any(n) == 0)
                        ret[k++] = text_at(texts, i);
        ret[k] = NULL;
        return k > 0 ? ret : NULL;
}

typedef struct Table {
        RouteMatch routes[ROUTES_MAX];
        char *hosts[ROUTES_MAX][ELEMENTSOF(hosts) + 1], *paths[ROUTES_MAX][ELEMENTSOF(route_paths) + 1],
                *methods[ROUTES_MAX][3], *listeners[ROUTES_MAX][3];
        MatchIndex *index;
} Table;

static const char *const methods[] = { "GET", "POST" }, *const listeners[] = { "http", "https" };
static HeaderMatch header = { (char *) (uintptr_t) "x", (char *) (uintptr_t) "1" };
static AddressRange range = { .family = AF_INET, .address = { 10 }, .n_bits = 8 };
static BytesMatch prefixes[] = { { (uint8_t *) (uintptr_t) "GET /a", 6 }, { (uint8_t *) (uintptr_t) "SSH-", 4 } };

static void make_table(Table *t, bool has_conditions) {
        for (size_t i = 0; i < ROUTES_MAX; i++) {
                RouteMatch *m = &t->routes[i];

                *m = (RouteMatch){
                        .hosts = any(4) > 0 ? any_of(hosts, ELEMENTSOF(hosts), 4, t->hosts[i]) : NULL,
                        .paths = any(3) > 0 ? any_of(route_paths, ELEMENTSOF(route_paths), 4, t->paths[i]) : NULL,
                        .listeners = any(4) == 0 ? any_of(listeners, ELEMENTSOF(listeners), 2, t->listeners[i]) : NULL,
                        .protocols = any(4) == 0 ? 1U << any(3) : 0,
                        .priority = any(5) == 0 ? (int) any(3) - 1 : 0,
                };
                if (!has_conditions)
                        continue;

                if (any(6) == 0)
                        m->methods = any_of(methods, ELEMENTSOF(methods), 2, t->methods[i]);
                if (any(8) == 0) {
                        m->headers = &header;
                        m->n_headers = 1;
                }
                if (any(6) == 0) {
                        m->sources = &range;
                        m->n_sources = 1;
                }
                if (any(12) == 0) {
                        m->prefixes = &prefixes[any(2)];
                        m->n_prefixes = 1;
                }
                if (any(12) == 0)
                        m->name = (char *) (uintptr_t) "stream";
        }

        t->index = index_of(t->routes, ROUTES_MAX);
}

static void make_path(char *ret, size_t n_segments) {
        size_t n = any(4);

        *ret = 0;
        for (size_t i = 0; i < n; i++)
                strcat(strcat(ret, "/"), segments[any(n_segments)]);
        if (n == 0 || any(6) == 0)
                strcat(ret, "/");
}

static Slice make_request(char ret[static 256], const char *host, bool is_plain) {
        char path[128];
        int n;

        make_path(path, is_plain ? 6 : ELEMENTSOF(segments));
        n = snprintf(ret, 256, "%s %s%s HTTP/1.%zu\r\nHost: %s%s\r\n%s\r\n", methods[any(2)], path,
                     any(4) == 0 ? "?x=/a/../%2f" : "", is_plain || any(8) > 0 ? (size_t) 1 : 0, host,
                     any(4) == 0 ? ":80" : "", any(3) == 0 ? "X: 1\r\n" : "");
        return (Slice){ (const uint8_t *) ret, (size_t) n };
}

static Decision decide(const Table *t, const ClientFacts *common, Slice head, Probe *probe) {
        ClientFacts facts = *common;

        facts.head = head;
        return decide_head(t->index, &facts, 4096, probe);
}

/*
 * One client with a first request and several others. A request that the scope covers goes to the same pool. With
 * @is_plain, no route has conditions and no path has two readings: then the scope covers all requests for that pool.
 */
static void check_client(const Table *t, bool is_plain, uint64_t *n_covered, uint64_t *n_same) {
        struct sockaddr_in source = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(any(2) ? 0x0a000001 : 0xc0000201) };
        ClientFacts facts = { .listener = listeners[any(2)], .source = (struct sockaddr *) &source };
        const char *host = hosts[any(4)];
        char text[256];
        Probe probe;
        Decision d = decide(t, &facts, make_request(text, host, is_plain), &probe);
        bool by_source;
        ScopeWriter w;
        Scope scope;

        if (d.kind != DECISION_ROUTE || !d.is_known)
                return;

        facts.host = &probe.http.host;
        match_scope_make(t->index, &t->routes[d.pool], d.pool, &facts, 7, &w, &by_source);
        assert_true(scope_decode(scope_value(&w), &scope));
        facts.host = NULL;

        for (size_t i = 0; i < 8; i++) {
                Slice head = make_request(text, is_plain || any(4) > 0 ? host : hosts[any(4)], is_plain);
                bool is_covered = scope_covers(&scope, head);
                Decision next = decide(t, &facts, head, &probe);
                bool is_same = next.kind == DECISION_ROUTE && next.pool == d.pool;

                if (is_covered != is_same && (is_covered || is_plain))
                        print_error("%.*s: covered %i, same pool %i\n", (int) head.n, head.p, is_covered, is_same);
                assert_true(is_same || !is_covered);
                assert_true(is_covered || !is_same || !is_plain);
                *n_covered += is_covered;
                *n_same += is_same;
        }
}

static void check_tables(bool is_plain, size_t n_tables, unsigned share_min) {
        uint64_t n_covered = 0, n_same = 0;
        static Table t;

        for (size_t i = 0; i < n_tables; i++) {
                make_table(&t, !is_plain);
                for (size_t k = 0; k < 20; k++)
                        check_client(&t, is_plain, &n_covered, &n_same);
                match_index_free(t.index);
        }

        /* Otherwise the test has compared little. */
        assert_true(n_covered > n_tables * 10);
        assert_true(n_covered * 100 >= n_same * share_min);
}

static void test_random_plain(void **state) {
        check_tables(/* is_plain= */ true, 2000, 100);
}

static void test_random(void **state) {
        check_tables(/* is_plain= */ false, 6000, 25);
}

TEST_MAIN(TEST(test_items),
          TEST(test_conditions),
          TEST(test_sources),
          TEST(test_limits),
          TEST(test_random_plain),
          TEST(test_random))
