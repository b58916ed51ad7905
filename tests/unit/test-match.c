/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which of several routes takes a client, and which key keeps the others from it. */

#include "test.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "match/match.h"

/* A list in a literal, which lives as long as the test's function. */
#define LIST(...) ((char **) (uintptr_t) (const char *const[]){ __VA_ARGS__, NULL })

static ClientFacts facts_of_host(const char *host, ProbeName *name) {
        assert_true(probe_name_set(name, slice_from_string(host)));
        return (ClientFacts){ .listener = "public", .protocol = 1U << PROBE_HTTP, .host = name };
}

static MatchIndex *index_of(const RouteMatch *routes, size_t n) {
        MatchIndex *index;

        assert_int_equal(match_index_new(&index), 0);
        for (size_t i = 0; i < n; i++)
                assert_int_equal(match_index_add(index, &routes[i], "a.socket", i), 0);
        assert_int_equal(match_index_finish(index), 0);
        return index;
}

#define TEXT(s) ((char *) (uintptr_t) (s))
#define NONE SIZE_MAX

static size_t find(const MatchIndex *index, const ClientFacts *facts) {
        MatchResult result;

        match_index_find(index, facts, &result);
        return result.found ? result.pool : NONE;
}

/* An exact host goes before a wildcard, a longer wildcard before a shorter, any of them before none. */
static void test_hosts(void **state) {
        const RouteMatch routes[] = {
                { .hosts = LIST("*.org") },
                { .hosts = LIST("*.example.org") },
                { .hosts = LIST("a.example.org", "b.example.org") },
                {},
        };
        static const struct {
                const char *host;
                size_t expected;
        } cases[] = {
                { "a.example.org", 2 }, { "b.example.org", 2 },   { "c.example.org", 1 }, { "x.a.example.org", 1 },
                { "example.org", 0 },   { "badexample.org", 0 }, { "org", 3 },           { "example.com", 3 },
        };
        _cleanup_(match_index_freep) MatchIndex *index = index_of(routes, ELEMENTSOF(routes));

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                ProbeName name;
                ClientFacts facts = facts_of_host(cases[i].host, &name);

                assert_int_equal(find(index, &facts), cases[i].expected);
        }

        assert_int_equal(find(index, &(ClientFacts){ .listener = "public" }), 3);
}

/* Then the longer path, on whole segments. */
static void test_paths(void **state) {
        const RouteMatch routes[] = {
                { .hosts = LIST("h"), .paths = LIST("/chat") },
                { .hosts = LIST("h"), .paths = LIST("/chat/room", "/other") },
                { .hosts = LIST("h") },
                { .paths = LIST("/everywhere") },
                { .hosts = LIST("h"), .paths = LIST("/top"), .priority = 1 },
                { .hosts = LIST("h"), .paths = LIST("/top/deeper") },
        };
        static const struct {
                const char *path;
                size_t expected;
        } cases[] = {
                { "/chat", 0 },    { "/chat/x", 0 },     { "/chatter", 2 },    { "/chat/room", 1 },
                { "/other/x", 1 }, { "/chat/rooms", 0 }, { "/everywhere", 2 }, { "/", 2 },
                { "/chat/", 0 },   { "/chat/room/", 1 }, { "/top/deeper", 4 }, { "/t", 2 },
                { "/chat/room/whose/path/is/longer/than/any/that/a/route/has", 1 },
        };
        _cleanup_(match_index_freep) MatchIndex *index = index_of(routes, ELEMENTSOF(routes));

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                ProbeName name;
                ClientFacts facts = facts_of_host("h", &name);

                facts.path = slice_from_string(cases[i].path);
                assert_int_equal(find(index, &facts), cases[i].expected);
        }
}

/* A path on which servers do not agree is refused where a rule about paths might be meant, and only there. */
static void test_ambiguous_path(void **state) {
        const RouteMatch routes[] = {
                { .hosts = LIST("h"), .paths = LIST("/chat") },
                { .hosts = LIST("h") },
                { .hosts = LIST("plain") },
                { .hosts = LIST("paths"), .paths = LIST("/a", "/b") },
        };
        _cleanup_(match_index_freep) MatchIndex *index = index_of(routes, ELEMENTSOF(routes));
        MatchResult result;
        ProbeName name;
        ClientFacts facts;

        facts = facts_of_host("h", &name);
        facts.path = SLICE_LITERAL("/x/../chat");
        match_index_find(index, &facts, &result);
        assert_true(result.ambiguous_path);

        /* One whose routes all have a path is a known host all the same. */
        facts = facts_of_host("paths", &name);
        facts.path = SLICE_LITERAL("/x");
        match_index_find(index, &facts, &result);
        assert_true(result.host_is_known);
        assert_false(result.found);

        facts = facts_of_host("plain", &name);
        facts.path = SLICE_LITERAL("/x/../chat");
        match_index_find(index, &facts, &result);
        assert_false(result.ambiguous_path);
        assert_int_equal(result.pool, 2);
}

/* RoutePriority= goes before everything, in both directions. */
static void test_priority(void **state) {
        const RouteMatch routes[] = {
                { .hosts = LIST("h"), .paths = LIST("/") },
                { .priority = 1 },
                { .hosts = LIST("low"), .priority = -1 },
                { .listeners = LIST("public") },
        };
        const RouteMatch without[] = {
                { .hosts = LIST("low"), .priority = -1 },
                { .listeners = LIST("public") },
        };
        _cleanup_(match_index_freep) MatchIndex *index = index_of(routes, ELEMENTSOF(routes));
        _cleanup_(match_index_freep) MatchIndex *other = index_of(without, ELEMENTSOF(without));
        ProbeName name;
        ClientFacts facts = facts_of_host("h", &name);

        facts.path = SLICE_LITERAL("/");
        assert_int_equal(find(index, &facts), 1);

        facts = facts_of_host("low", &name);
        assert_int_equal(find(other, &facts), 1);
}

/* The other keys narrow, and the route that names more of them goes first. */
static void test_other_keys(void **state) {
        HeaderMatch headers[] = { { TEXT("cookie"), TEXT("*beta=1*") },
                                         { TEXT("upgrade"), TEXT("h2c") },
                                         { TEXT("upgrade"), TEXT("websocket") } };
        static AddressRange net = { AF_INET, { 192, 0, 2 }, 24 }, host = { AF_INET, { 192, 0, 2, 7 }, 32 };
        static BytesMatch prefix = { (uint8_t *) (uintptr_t) "HELO", 4 };
        const RouteMatch routes[] = {
                { .methods = LIST("GET", "HEAD") },
                { .methods = LIST("GET"), .headers = headers, .n_headers = 3 },
                { .sources = &net, .n_sources = 1 },
                { .sources = &host, .n_sources = 1 },
                { .protocols = 1U << PROBE_SSH | PROTOCOL_SILENT },
                { .prefixes = &prefix, .n_prefixes = 1 },
                { .listeners = LIST("443") },
                { .name = TEXT("named"), .priority = 100 },
        };
        _cleanup_(match_index_freep) MatchIndex *index = index_of(routes, ELEMENTSOF(routes));
        struct sockaddr_in sin = { .sin_family = AF_INET };
        struct sockaddr_in6 sin6 = { .sin6_family = AF_INET6 };
        ClientFacts facts = { .listener = "public", .protocol = 1U << PROBE_HTTP, .method = SLICE_LITERAL("GET") };

        facts.fields = SLICE_LITERAL("Host: h\r\nUpgrade: websocket\r\nCookie: a=2; beta=1; c\r\n");
        assert_int_equal(find(index, &facts), 1);
        facts.fields = SLICE_LITERAL("Host: h\r\nUpgrade: websocket\r\nCookie: a=2\r\n");
        assert_int_equal(find(index, &facts), 0);
        facts.method = SLICE_LITERAL("get");
        assert_int_equal(find(index, &facts), NONE);

        facts.source = (struct sockaddr *) &sin;
        assert_int_equal(inet_pton(AF_INET, "192.0.2.9", &sin.sin_addr), 1);
        assert_int_equal(find(index, &facts), 2);
        assert_int_equal(inet_pton(AF_INET, "192.0.2.7", &sin.sin_addr), 1);
        assert_int_equal(find(index, &facts), 3);
        facts.source = (struct sockaddr *) &sin6;
        assert_int_equal(inet_pton(AF_INET6, "::ffff:192.0.2.7", &sin6.sin6_addr), 1);
        assert_int_equal(find(index, &facts), 3);
        assert_int_equal(inet_pton(AF_INET6, "2001:db8::7", &sin6.sin6_addr), 1);
        assert_int_equal(find(index, &facts), NONE);

        assert_int_equal(find(index, &(ClientFacts){ .listener = "public", .protocol = PROTOCOL_SILENT }), 4);
        assert_int_equal(find(index, &(ClientFacts){ .listener = "public", .head = SLICE_LITERAL("HELO x") }), 5);
        assert_int_equal(find(index, &(ClientFacts){ .listener = "public", .head = SLICE_LITERAL("HEL") }), NONE);
        assert_int_equal(find(index, &(ClientFacts){ .listener = "443" }), 6);
}

/* The key that objects first has a name that an administrator knows. */
static void test_first_miss(void **state) {
        const RouteMatch route = { .listeners = LIST("public"), .hosts = LIST("h"), .paths = LIST("/p"),
                                          .methods = LIST("GET"), .alpns = LIST("h2") };
        ProbeName name;
        ClientFacts facts = facts_of_host("h", &name);

        assert_string_equal(match_key_to_string(match_first_miss(&route, &(ClientFacts){ .listener = "443" })), "Listener=");
        assert_string_equal(match_key_to_string(match_first_miss(&route, &(ClientFacts){ .listener = "public" })), "Host=");
        assert_string_equal(match_key_to_string(match_first_miss(&route, &facts)), "Path=");
        facts.path = SLICE_LITERAL("/p");
        assert_string_equal(match_key_to_string(match_first_miss(&route, &facts)), "Method=");
        facts.method = SLICE_LITERAL("GET");
        assert_string_equal(match_key_to_string(match_first_miss(&route, &facts)), "ALPN=");
}

/* Every tenant of many is found. */
static void test_many_hosts(void **state) {
        enum { N = 10000 };
        static RouteMatch routes[N];
        static char names[N][32], *lists[N][2];
        MatchIndex *index;

        for (size_t i = 0; i < N; i++) {
                (void) snprintf(names[i], sizeof(names[i]), "tenant%zu.example.org", i);
                lists[i][0] = names[i];
                routes[i].hosts = lists[i];
        }

        index = index_of(routes, N);
        for (size_t i = 0; i < N; i++) {
                ProbeName name;
                ClientFacts facts = facts_of_host(names[i], &name);

                assert_int_equal(find(index, &facts), i);
        }
        match_index_free(index);
}

TEST_MAIN(TEST(test_hosts),
          TEST(test_paths),
          TEST(test_ambiguous_path),
          TEST(test_priority),
          TEST(test_other_keys),
          TEST(test_first_miss),
          TEST(test_many_hosts))
