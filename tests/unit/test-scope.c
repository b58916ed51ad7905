/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which next requests a scope covers, and which values are scopes at all. */

#include "test.h"

#include "handoff/scope.h"

#define S(literal) SLICE_LITERAL(literal)

#define HOST "h\13example.org"

/* Decodes a copy on the heap, so that a sanitizer notices each read behind its end. */
static bool decode(Slice value, Scope *ret) {
        uint8_t *copy = malloc(value.n > 0 ? value.n : 1);
        Scope s;
        bool ok;

        assert_non_null(copy);
        if (value.n > 0)
                memcpy(copy, value.p, value.n);
        ok = scope_decode((Slice){ copy, value.n }, &s);
        free(copy);

        assert_true(scope_decode(value, ret) == ok);
        return ok;
}

static bool covers(Slice value, const char *bytes) {
        size_t n = strlen(bytes);
        uint8_t *copy = malloc(n > 0 ? n : 1);
        Scope s;
        bool ok;

        assert_non_null(copy);
        memcpy(copy, bytes, n);
        assert_true(scope_decode(value, &s));
        ok = scope_covers(&s, (Slice){ copy, n });
        free(copy);
        return ok;
}

static bool covers_target(Slice value, const char *target) {
        char text[512];

        (void) snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: example.org\r\n\r\n", target);
        return covers(value, text);
}

static void test_paths(void **state) {
        static const struct {
                const char *target;
                bool in_site; /* "/" without "/api", but with "/api/docs" */
                bool in_api;  /* "/api" alone */
                bool in_all;  /* "/" */
        } cases[] = {
                { "/", true, false, true },
                { "/x", true, false, true },
                { "/ap", true, false, true },
                { "/apis", true, false, true },
                { "/api-x/y", true, false, true },
                { "/API", true, false, true },
                { "/?/api", true, false, true },
                { "/x?a=%2f..//", true, false, true },
                { "/api", false, true, true },
                { "/api?x", false, true, true },
                { "/api/", false, true, true },
                { "/api/x", false, true, true },
                { "/api/docs", true, true, true },
                { "/api/docs/x", true, true, true },
                { "/api/docsx", false, true, true },
                { "/api/x/docs", false, true, true },
                { "/x/api", true, false, true },
                /* Escapes may mean another prefix to a server, if there is another. */
                { "/a%20b", false, false, true },
                { "/api/a%20b", false, false, true },
                { "/x/%C3%A4", false, false, true },
                /* Ambiguous paths are never covered. */
                { "//", false, false, false },
                { "//api", false, false, false },
                { "/x//api", false, false, false },
                { "/./api", false, false, false },
                { "/x/../api", false, false, false },
                { "/api/..", false, false, false },
                { "/api/.", false, false, false },
                { "/..;/api", false, false, false },
                { "/api;x", false, false, false },
                { "/x;/api", false, false, false },
                { "/x\\api", false, false, false },
                { "/%61pi", false, false, false },
                { "/api%2fdocs", false, false, false },
                { "/%2e%2e/api", false, false, false },
                { "/%5capi", false, false, false },
                { "/%zz", false, false, false },
                { "/x%", false, false, false },
                /* Other forms. */
                { "*", false, false, false },
                { "http://example.org/", false, false, false },
                { "http://example.org/api", false, false, false },
        };
        const Slice site = S("\0\0\0\0\1" HOST "p\x01/x\x04/apip\x09/api/docs"),
                    reverse = S("\0\0\0\0\1p\x09/api/docsx\x04/apip\x01/" HOST), api = S("\0\0\0\0\1" HOST "p\x04/api"),
                    all = S("\0\0\0\0\1" HOST "p\x01/");

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                assert_int_equal(covers_target(site, cases[i].target), cases[i].in_site);
                assert_int_equal(covers_target(reverse, cases[i].target), cases[i].in_site);
                assert_int_equal(covers_target(api, cases[i].target), cases[i].in_api);
                assert_int_equal(covers_target(all, cases[i].target), cases[i].in_all);
        }
}

static void test_heads(void **state) {
        static const struct {
                const char *bytes;
                bool is_covered;
        } cases[] = {
                { "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n", true },
                { "GET / HTTP/1.1\r\nHost: EXAMPLE.org.:8080\r\n\r\n", true },
                { "POST / HTTP/1.1\r\nHost: example.org\r\nContent-Length: 3\r\n\r\nabc", true },
                { "POST / HTTP/1.1\r\nHost: example.org\r\nTransfer-Encoding: chunked\r\n\r\n", true },
                { "GET / HTTP/1.1\r\nHost: example.org\r\n\r\nGET /api HTTP/1.1\r\n", true },
                { "\r\nGET / HTTP/1.1\r\nHost: example.org\r\n\r\n", true },
                { "GET / HTTP/1.1\r\nHost: www.example.org\r\n\r\n", false },
                { "GET / HTTP/1.1\r\nHost: example.or\r\n\r\n", false },
                { "GET / HTTP/1.1\r\nHost: example.org\r\nHost: example.org\r\n\r\n", false },
                { "GET / HTTP/1.1\r\nHost:\r\n\r\n", false },
                { "GET / HTTP/1.1\r\n\r\n", false },
                { "GET / HTTP/1.0\r\nHost: example.org\r\n\r\n", false },
                { "GET / HTTP/1.0\r\n\r\n", false },
                { "GET /\r\n", false },
                { "GET / HTTP/1.1\nHost: example.org\n\n", false },
                { "GET / HTTP/1.1\r\nHost: example.org\r\nA : b\r\n\r\n", false },
                { "GET / HTTP/1.1\r\nHost: example.org\r\n folded\r\n\r\n", false },
                { "GET / HTTP/1.1\r\nHost: example.org\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", false },
                { "CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n\r\n", false },
                { "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", false },
                { "\x16\x03\x01\x02", false },
                { "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET / HTTP/1.1\r\nHost: example.org\r\n\r\n", false },
                { "", false },
        };
        const Slice all = S("\0\0\0\0\1" HOST "p\x01/");
        const char *whole = cases[0].bytes;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_int_equal(covers(all, cases[i].bytes), cases[i].is_covered);

        /* No beginning of a head is enough. */
        for (size_t n = 0; n < strlen(whole); n++) {
                char part[128] = {};

                memcpy(part, whole, n);
                assert_false(covers(all, part));
        }
}

/* Scopes that are well-formed and cover nothing. */
static void test_asks(void **state) {
        static const Slice values[] = {
                SLICE_LITERAL("\1\0\0\0\1" HOST "p\x01/"),             /* ASK */
                SLICE_LITERAL("\2\0\0\0\1" HOST "p\x01/"),             /* an unknown flag */
                SLICE_LITERAL("\0\0\0\0\1" HOST "p\x01/q\x01/"),       /* an unknown kind */
                SLICE_LITERAL("\0\0\0\0\1" HOST "p\x01/q\0"),
                SLICE_LITERAL("\0\0\0\0\1p\x01/"),                      /* no host */
                SLICE_LITERAL("\0\0\0\0\1" HOST),                      /* no prefix */
                SLICE_LITERAL("\0\0\0\0\1" HOST "x\x01/"),
                SLICE_LITERAL("\0\0\0\0\1" HOST "p\x01/x\x01/"),       /* both for one prefix */
                SLICE_LITERAL("\0\0\0\0\1" HOST "x\x01/p\x01/"),
                SLICE_LITERAL("\0\0\0\0\1"),
        };

        for (size_t i = 0; i < ELEMENTSOF(values); i++)
                assert_false(covers_target(values[i], "/"));
}

static void test_malformed(void **state) {
        static const Slice values[] = {
                SLICE_LITERAL(""),
                SLICE_LITERAL("\0"),
                SLICE_LITERAL("\0\0\0\0"),
                SLICE_LITERAL("\0\0\0\0\1h"),
                SLICE_LITERAL("\0\0\0\0\1h\0"),
                SLICE_LITERAL("\0\0\0\0\1h\2a"),
                SLICE_LITERAL("\0\0\0\0\1h\1ah\1a"),
                SLICE_LITERAL("\0\0\0\0\1h\1ap\0"),
                SLICE_LITERAL("\0\0\0\0\1h\1ax\0"),
                SLICE_LITERAL("\0\0\0\0\1h\1ap\1a"),
                SLICE_LITERAL("\0\0\0\0\1h\1ap\377/"),
                SLICE_LITERAL("\0\0\0\0\1h\1ap\1/x"),
                SLICE_LITERAL("\0\0\0\0\1h\1aq\377"),
        };
        uint8_t large[FDPASS_SCOPE_MAX + 1] = {};
        Scope s;

        for (size_t i = 0; i < ELEMENTSOF(values); i++) {
                assert_false(decode(values[i], &s));
                assert_true(s.asks);
                assert_false(scope_covers(&s, S("GET / HTTP/1.1\r\nHost: a\r\n\r\n")));
        }

        assert_false(decode((Slice){ large, sizeof(large) }, &s));
        assert_true(s.asks);
}

static void test_round_trip(void **state) {
        uint8_t text[256];
        ScopeWriter w;
        Scope s;

        memset(text, 'a', sizeof(text));
        text[0] = '/';

        scope_begin(&w, 0x12345678);
        assert_true(scope_add(&w, FDPASS_SCOPE_HOST, S("example.org")));
        assert_true(scope_add(&w, FDPASS_SCOPE_PREFIX, S("/")));
        assert_true(scope_add(&w, FDPASS_SCOPE_EXCEPT, (Slice){ text, 255 }));
        assert_false(scope_add(&w, FDPASS_SCOPE_EXCEPT, (Slice){ text, 256 }));
        assert_true(decode(scope_value(&w), &s));
        assert_int_equal(s.generation, 0x12345678);
        assert_false(s.asks);
        assert_true(slice_equal(s.host, S("example.org")));
        assert_true(covers_target(scope_value(&w), "/"));

        /* It can be filled to the last byte, and no further. */
        while (scope_add(&w, FDPASS_SCOPE_EXCEPT, (Slice){ text, MIN(FDPASS_SCOPE_MAX - w.n - 2, (size_t) 255) }))
                if (w.n == FDPASS_SCOPE_MAX)
                        break;
        assert_int_equal(w.n, FDPASS_SCOPE_MAX);
        assert_false(scope_add(&w, FDPASS_SCOPE_EXCEPT, S("/")));
        assert_true(decode(scope_value(&w), &s));
        assert_false(s.asks);

        scope_ask(&w, UINT32_MAX);
        assert_true(decode(scope_value(&w), &s));
        assert_true(s.asks);
        assert_int_equal(s.generation, UINT32_MAX);
}

TEST_MAIN(TEST(test_paths),
          TEST(test_heads),
          TEST(test_asks),
          TEST(test_malformed),
          TEST(test_round_trip))
