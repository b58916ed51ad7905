/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Of several routes that take a client, one gets it: the first in the table of fdpass.unit(5). */

#include "match-fixture.h"

/* The winner has the later name, so that the name never helps it. */
static const char *const names[] = { "b.socket", "a.socket" };

typedef struct Pair {
        RouteMatch winner, loser;
        const Sample *client;
        MatchCriterion by;
} Pair;

static void check_pairs(const Pair *pairs, size_t n) {
        for (size_t i = 0; i < n; i++) {
                const RouteMatch both[] = { pairs[i].winner, pairs[i].loser };
                _cleanup_(match_index_freep) MatchIndex *index = index_of(both, names, 2);

                if (match_first_miss(&both[0], &pairs[i].client->facts) != MATCH_NO_MISS ||
                    match_first_miss(&both[1], &pairs[i].client->facts) != MATCH_NO_MISS)
                        fail_msg("pair %zu: one of the two does not take the client", i);
                if (find(index, &pairs[i].client->facts) != 0)
                        fail_msg("pair %zu: the wrong one wins", i);
                if (match_explain_loss(index, &both[1], &both[0], &pairs[i].client->facts) != pairs[i].by)
                        fail_msg("pair %zu: %i", i, match_explain_loss(index, &both[1], &both[0], &pairs[i].client->facts));
        }
}

static void make_browser(Sample *p) {
        sample_make(p, HTTP, "public", "192.0.2.7", "GET /chat/room HTTP/1.1");
        sample_set_host(p, "a.example.org");
        p->facts.path = SLICE_LITERAL("/chat/room");
        p->facts.method = SLICE_LITERAL("GET");
        p->facts.fields = SLICE_LITERAL("Upgrade: websocket\r\nCookie: beta=1\r\n");
}

static void make_tls(Sample *p) {
        sample_make(p, TLS, "public", "192.0.2.7", "\x16\x03\x01");
        sample_set_host(p, "a.example.org");
        sample_add_alpn(p, "h2");
        sample_add_alpn(p, "http/1.1");
}

/* A key that narrows goes before the protocol that it implies, and before more protocols. */
static void test_key_before_protocol(void **state) {
        Sample browser, tls, raw, ssh;
        const Pair pairs[] = {
                { { .alpns = LIST("h2") }, { .protocols = TLS }, &tls, MATCH_BY_KEYS },
                { { .alpns = LIST("h2") }, { .protocols = TLS | HTTP }, &tls, MATCH_BY_KEYS },
                { { .hosts = LIST("*.org") }, { .protocols = TLS }, &tls, MATCH_BY_HOST },
                { { PREFIXES(PREFIX("\x16")) }, { .protocols = TLS }, &tls, MATCH_BY_KEYS },
                { { .methods = LIST("GET") }, { .protocols = HTTP }, &browser, MATCH_BY_KEYS },
                { { .paths = LIST("/") }, { .protocols = HTTP }, &browser, MATCH_BY_PATH },
                { { .hosts = LIST("*.org") }, { .protocols = HTTP }, &browser, MATCH_BY_HOST },
                { { HEADERS(HEADER("cookie", "*")) }, { .protocols = HTTP }, &browser, MATCH_BY_KEYS },
                { { PREFIXES(PREFIX("GET ")) }, { .protocols = HTTP }, &browser, MATCH_BY_KEYS },
                { { PREFIXES(PREFIX("SSH-2.0-x")) }, { .protocols = SSH }, &ssh, MATCH_BY_KEYS },
                { { SOURCES(NET(24)) }, { .protocols = SSH }, &ssh, MATCH_BY_KEYS },
                { { .protocols = SSH }, { .protocols = SSH | PROTOCOL_SILENT }, &ssh, MATCH_BY_PROTOCOL },
                { { .protocols = SSH }, {}, &ssh, MATCH_BY_PROTOCOL },
                { { .hosts = LIST("a.example.org"), .protocols = HTTP }, { .hosts = LIST("a.example.org") }, &browser, MATCH_BY_PROTOCOL },
                { { .hosts = LIST("a.example.org"), .methods = LIST("GET") }, { .hosts = LIST("a.example.org"), .protocols = HTTP },
                  &browser, MATCH_BY_KEYS },
                { { PREFIXES(PREFIX("\x00\x00\x00\x08\x04\xd2\x16\x2f")) }, { PREFIXES(PREFIX("\x00")) }, &raw, MATCH_BY_PREFIX },
        };

        make_browser(&browser);
        make_tls(&tls);
        sample_make(&ssh, SSH, "public", "192.0.2.7", "SSH-2.0-x_1");
        sample_make(&raw, 0, "public", "192.0.2.7", "");
        raw.facts.head = SLICE_LITERAL("\x00\x00\x00\x08\x04\xd2\x16\x2f");
        check_pairs(pairs, ELEMENTSOF(pairs));
}

/* Of two values of one key the narrower goes first. */
static void test_narrower_value(void **state) {
        Sample browser, tls;
        const Pair pairs[] = {
                { { .hosts = LIST("a.example.org") }, { .hosts = LIST("*.example.org") }, &browser, MATCH_BY_HOST },
                { { .hosts = LIST("*.example.org") }, { .hosts = LIST("*.org"), .paths = LIST("/chat/room") }, &browser, MATCH_BY_HOST },
                { { .hosts = LIST("a.example.org") }, { .hosts = LIST("a.example.org", "b.example.org") }, &browser, MATCH_BY_VALUES },
                { { .paths = LIST("/chat/room") }, { .paths = LIST("/chat") }, &browser, MATCH_BY_PATH },
                { { .paths = LIST("/chat") }, { .paths = LIST("/chat", "/x") }, &browser, MATCH_BY_VALUES },
                { { .methods = LIST("GET") }, { .methods = LIST("GET", "HEAD") }, &browser, MATCH_BY_VALUES },
                { { .alpns = LIST("h2") }, { .alpns = LIST("h2", "http/1.1") }, &tls, MATCH_BY_VALUES },
                { { SOURCES(NET(25)) }, { SOURCES(NET(24)) }, &browser, MATCH_BY_SOURCE },
                { { SOURCES(NET(0)) }, { .protocols = HTTP | TLS | SSH }, &browser, MATCH_BY_KEYS },
                { { SOURCES(NET(24)) }, { SOURCES(NET(24), { AF_INET, { 10 }, 8 }) }, &browser, MATCH_BY_SOURCE },
                { { PREFIXES(PREFIX("GET ")) }, { PREFIXES(PREFIX("G"), PREFIX("POST /")) }, &browser, MATCH_BY_PREFIX },
                { { PREFIXES(PREFIX("GET "), PREFIX("P")) }, { PREFIXES(PREFIX("GE")) }, &browser, MATCH_BY_PREFIX },
                { { HEADERS(HEADER("cookie", "beta=1")) }, { HEADERS(HEADER("cookie", "beta=*")) }, &browser, MATCH_BY_HEADER },
                { { HEADERS(HEADER("cookie", "beta=*")) }, { HEADERS(HEADER("cookie", "*")) }, &browser, MATCH_BY_HEADER },
                { { HEADERS(HEADER("cookie", "beta=1")) }, { HEADERS(HEADER("cookie", "beta=1*")) }, &browser, MATCH_BY_HEADER },
                { { HEADERS(HEADER("cookie", "beta=[12]")) }, { HEADERS(HEADER("cookie", "beta=*")) }, &browser, MATCH_BY_HEADER },
                { { HEADERS(HEADER("cookie", "beta=1")) }, { HEADERS(HEADER("cookie", "beta=[]1]")) }, &browser, MATCH_BY_HEADER },
                { { HEADERS(HEADER("cookie", "beta=1")) }, { HEADERS(HEADER("cookie", "beta=1"), HEADER("cookie", "*")) }, &browser, MATCH_BY_HEADER },
                { { HEADERS(HEADER("cookie", "*"), HEADER("upgrade", "*")) }, { HEADERS(HEADER("cookie", "beta=1")) }, &browser, MATCH_BY_KEYS },
                { { .listeners = LIST("public"), .protocols = HTTP }, { .protocols = HTTP }, &browser, MATCH_BY_LISTENER },
                { { .listeners = LIST("public"), .protocols = HTTP }, { .listeners = LIST("443", "public"), .protocols = HTTP }, &browser,
                  MATCH_BY_VALUES },
                { { .priority = 1 }, { .hosts = LIST("a.example.org") }, &browser, MATCH_BY_PRIORITY },
        };

        make_browser(&browser);
        make_tls(&tls);
        check_pairs(pairs, ELEMENTSOF(pairs));
}

/* Routes that tie: the name of the unit decides, whatever order they are added in. */
static void test_tie(void **state) {
        const RouteMatch routes[] = { { .methods = LIST("GET") }, { .methods = LIST("GET"), .protocols = HTTP } };
        Sample browser;

        make_browser(&browser);
        for (size_t i = 0; i < 2; i++) {
                const RouteMatch both[] = { routes[i], routes[!i] };
                _cleanup_(match_index_freep) MatchIndex *index = index_of(both, names, 2);

                assert_int_equal(find(index, &browser.facts), 1);
                assert_int_equal(match_explain_loss(index, &both[0], &both[1], &browser.facts), MATCH_BY_NAME);
        }
}

/* A route with Listener= alone has the listener to itself, and no byte is read for routes that get none of its clients. */
static void test_own_listener(void **state) {
        static const char *const units[] = { "a", "b", "c", "d", "e", "f", "g" };
        const RouteMatch routes[] = {
                { .hosts = LIST("a.example.org"), .protocols = HTTP },
                { .listeners = LIST("9418") },
                { .listeners = LIST("443") },
                { .listeners = LIST("443"), .protocols = TLS },
                { .protocols = HTTP, .priority = 1, .listeners = LIST("8080") },
                { .listeners = LIST("8080", "8081") },
                { .protocols = TLS, .tls = TLS_MATCH_NO }, /* fdpass-tls.socket */
        };
        _cleanup_(match_index_freep) MatchIndex *index = index_of(routes, units, ELEMENTSOF(routes));
        static const struct {
                const char *listener;
                bool needs_head;
                size_t of_browser, of_tls, of_silent;
        } cases[] = {
                { "public", true, 0, 6, NONE },    { "9418", false, 1, 1, 1 }, { "443", true, 2, 3, 2 },
                { "8080", true, 4, 5, 5 },         { "8081", false, 5, 5, 5 },
        };
        Sample browser, tls;

        make_browser(&browser);
        make_tls(&tls);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const char *listener = cases[i].listener;

                assert_int_equal(match_index_needs_head(index, listener), cases[i].needs_head);
                browser.facts.listener = tls.facts.listener = listener;
                assert_int_equal(find(index, &browser.facts), cases[i].of_browser);
                assert_int_equal(find(index, &tls.facts), cases[i].of_tls);
                assert_int_equal(find(index, &(ClientFacts){ .listener = listener, .protocol = PROTOCOL_SILENT }), cases[i].of_silent);
        }

        browser.facts.listener = "9418";
        assert_int_equal(match_explain_loss(index, &routes[0], &routes[1], &browser.facts), MATCH_BY_OWNER);
}

/* A higher RoutePriority= reaches into such a listener; a route that takes everything makes those below it need no bytes. */
static void test_needs_head(void **state) {
        const struct {
                RouteMatch routes[3];
                size_t n;
                bool needs_head;
        } cases[] = {
                { { { .protocols = HTTP } }, 1, true },
                { { { .protocols = HTTP, .priority = -1000 }, {} }, 2, false },
                { { { .protocols = HTTP }, {} }, 2, true },
                { { { .protocols = HTTP, .priority = 1 }, {} }, 2, true },
                { { { .protocols = HTTP }, { .listeners = LIST("one") } }, 2, false },
                { { { .protocols = HTTP }, { .listeners = LIST("one"), .priority = -1 } }, 2, true },
                { { { .protocols = HTTP, .priority = 1 }, { .listeners = LIST("one") } }, 2, true },
                { { { .protocols = HTTP, .priority = -1000 }, { .n_sources = 1, .sources = (AddressRange[]){ NET(24) } } }, 2, true },
                { { { .protocols = HTTP, .priority = -1000 }, { .name = TEXT("x") } }, 2, true },
                { { { .name = TEXT("x") }, {} }, 2, false },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                static const char *const units[] = { "a", "b", "c" };
                _cleanup_(match_index_freep) MatchIndex *index = index_of(cases[i].routes, units, cases[i].n);

                if (match_index_needs_head(index, "one") != cases[i].needs_head)
                        fail_msg("case %zu", i);
        }
}

/* A worker that hands a client back to a name reaches that route from a listener that is another route's. */
static void test_name_at_own_listener(void **state) {
        static const char *const units[] = { "a", "b" };
        const RouteMatch routes[] = { { .listeners = LIST("9418") }, { .name = TEXT("next") } };
        _cleanup_(match_index_freep) MatchIndex *index = index_of(routes, units, 2);

        assert_int_equal(find(index, &(ClientFacts){ .listener = "9418", .name = "next" }), 1);
        assert_int_equal(find(index, &(ClientFacts){ .listener = "9418" }), 0);
}

TEST_MAIN(TEST(test_key_before_protocol),
          TEST(test_narrower_value),
          TEST(test_tie),
          TEST(test_own_listener),
          TEST(test_needs_head),
          TEST(test_name_at_own_listener))
