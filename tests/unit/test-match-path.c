/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Paths that servers read in different ways are refused where the readings lead to different routes, and only there. */

#include "test.h"

#include <stdio.h>
#include <time.h>

#include "../fuzz/path-routes.h"
#include "basic/time.h"

#define NO PATH_REFUSED
#define NONE PATH_NONE

static void test_table(void **state _unused_) {
        static const struct {
                const char *host, *path;
                int wanted;
        } cases[] = {
                /* No reading comes to lie at or below a Path=. */
                { "h", "/shop;jsessionid=1", SITE }, { "h", "/img//a.png", SITE },     { "h", "/%7Euser/", SITE },
                { "h", "/a%2fb", SITE },          { "h", "/a%2Fb%5Cc", SITE },      { "h", "/a/./b", SITE },
                { "h", "/a/../b", SITE },         { "h", "/a/..", SITE },           { "h", "/a\\b", SITE },
                { "h", "/../../etc/passwd", SITE }, { "h", "/wiki/Who%3F", SITE },    { "h", "/c%23", SITE },
                { "h", "/%252e%252e/", SITE },    { "h", "/a%00", SITE },           { "h", "/t\xc3\xb6", SITE },
                { "h", "/chatter;x", SITE },      { "h", "/x/chat;y", SITE },       { "h", "/x/api//y", SITE },
                { "h", "/https%3A%2F%2Fexample.org%2F", SITE }, { "h", "/%40me", SITE },
                { "h", "/a;b/c;d/e", SITE },
                { "h", "//", SITE },              { "h", "/;", SITE },              { "h", "/%C0%E1%E2", SITE },
                { "h", "/x/y/%zz", SITE },        { "h", "/100%25", SITE },         { "h", "//x/y", SITE },
                { "h", "/api%20x/..", SITE },     { "h", "/What%3F%3F", SITE },
                { "h", "/x/%C0%AE%C0%AE/y", SITE },
                { "h", "/%E0%A4%85", SITE },

                /* All readings lie below the same one. */
                { "h", "/chat/a;b", CHAT },       { "h", "/chat//a", CHAT },        { "h", "/chat/%7Euser", CHAT },
                { "h", "/chat/a/../b", CHAT },    { "h", "/chat/a%2fb", CHAT },     { "h", "/chat/./b", CHAT },
                { "h", "/chat/.", CHAT },         { "h", "/chat/", CHAT },          { "h", "/chat//", CHAT },
                { "h", "/chat/a/..", CHAT },      { "h", "/talk/\\x", CHAT },       { "h", "/api/v1;x/y", API },
                { "h", "/api/v2//deep", API },    { "h", "/api/v1/deep/a//b", DEEP }, { "h", "/chat/x%00", CHAT },
                { "h", "/api/v1/deep/a/../b", DEEP }, { "h", "/chat/a%2f..%2fb", CHAT },
                { "h", "/chat/a/b/%zz/c", CHAT },
                { "h", "/api/x//v1/deep", API },  { "h", "/chat/\xc3\xb6;x", CHAT },

                /* Some reading lies elsewhere. */
                { "h", "/x/..%2fapi", NO },       { "h", "/a%2bb", NO },            { "h", "/api;x", NO },
                { "h", "//api", NO },             { "h", "/%61pi", NO },            { "h", "/./api", NO },
                { "h", "/a/../api", NO },         { "h", "/api%2f..", NO },         { "h", "/\\api", NO },
                { "h", "/%zz", NO },              { "h", "/api/../admin", NO },     { "h", "/api/..", NO },
                { "h", "/api/..;/x", NO },        { "h", "/api/.%2e/x", NO },       { "h", "/api%2fx", NO },
                { "h", "/api%5cx", NO },          { "h", "/api/%2e%2e%2fx", NO },   { "h", "/api%00", NO },
                { "h", "/api%00x", NO },          { "h", "/api%3fx", NO },          { "h", "/api%3Fx=/../y", NO },
                { "h", "/api%23x", NO },          { "h", "/api%0a", NO },           { "h", "/a%0Dpi", NO },
                { "h", "/%2561pi", NO },          { "h", "/%252fapi", NO },         { "h", "/x%252f..%252fapi", NO },
                { "h", "/x/%252e%252e/api", NO }, { "h", "/x;/../api", NO },        { "h", "/;/api", NO },
                { "h", "/..;/api", NO },          { "h", "/x/..;a=b/api", NO },     { "h", "/api%3bx", NO },
                { "h", "/%2fapi", NO },           { "h", "/%5c%61pi", NO },         { "h", "//x/api", NO },
                { "h", "/\\x/api", NO },          { "h", "///x/api/y", NO },        { "h", "/x//../../api", NO },
                { "h", "/%c0%afapi", NO },        { "h", "/x/%c0%ae%c0%ae/api", NO }, { "h", "/%e0%80%afapi", NO },
                { "h", "/x%zz../api", NO },       { "h", "/%u0061pi", NO },         { "h", "/api%zz", NO },
                { "h", "/a%zzi", NO },            { "h", "/api//v1/deep", NO },     { "h", "/api/v1%2fdeep", NO },
                { "h", "/api/v1/./deep", NO },    { "h", "/api/v1/deep/..", NO },   { "h", "/api/v1/deep;x", NO },
                { "h", "/api/x/../v1/deep", NO }, { "h", "/chat/../api", NO },      { "h", "/chat/..", NO },
                { "h", "/chat/a/../..", NO },     { "h", "/chat//../x", NO },       { "h", "/chat/%2e./", NO },
                { "h", "/x/../talk", NO },

                /* The name after "//" counts if it is in a Host=. */
                { "h", "//only/x", NO },          { "h", "/\\only/only/a", NO },      { "h", "//u@plain/x", SITE },
                { "h", "///x.w:80/logo", NO },    { "h", "//unknown/x", SITE },     { "plain", "//h/chat", NO },
                { "plain", "//h/x", SITE },       { "plain", "//u:p@h:81/api", NO },

                /* An escape that needs not be one, and all ways to write it. */
                { "h", "/caf%C3%A9/x", CAFE },    { "h", "/caf%c3%a9", CAFE },      { "h", "/caf\xc3\xa9", NO },
                { "h", "/caf%C3%a9", NO },        { "h", "/one%C3%A9", CAFE },      { "h", "/one%c3%a9", NO },
                { "h", "/%6fne%C3%A9", NO },      { "h", "/caf%C3%A9//x", CAFE },

                /* Routes of other hosts do not matter, and those without a host do. */
                { "plain", "/api;x", SITE },      { "plain", "/x/../api", SITE },   { "plain", "/events;x", SITE },
                { "a.w", "/api;x", NONE },        { "a.w", "/logo;x", NO },         { "a.w", "/logo/x;y", LOGO },
                { "other", "/x;y", NONE },        { "other", "/a//b", NONE },       { "other", "/events;x", NO },
                { "other", "/events//x", EVENTS }, { "other", "/x%2f..%2fevents", NO }, { "a.w", "/x/../events", NO },
                { "only", "/only/a;x", NO },      { "only", "/only/a/../b", ONLY }, { "only", "/only/a/../c", NO },
                { "only", "/x;y", NONE },
        };
        _cleanup_(match_index_freep) MatchIndex *index = path_make_index(ELEMENTSOF(path_routes));
        unsigned n_wrong = 0;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                int got = path_ask(index, cases[i].host, slice_from_string(cases[i].path));

                if (got != cases[i].wanted) {
                        print_error("%s of %s: route %i, not %i\n", cases[i].path, cases[i].host, got, cases[i].wanted);
                        n_wrong++;
                }
        }

        assert_int_equal(n_wrong, 0);
}

/* The target overrides Host (RFC 9112 3.2.2). If Host leads to another route, the request is refused. */
static void test_absolute(void **state _unused_) {
        static const struct {
                const char *head;
                int wanted;
                ProbeReason reason;
        } cases[] = {
                { "GET http://h/ HTTP/1.1\r\nHost: h\r\n\r\n", SITE, 0 },
                { "GET http://h/ HTTP/1.1\r\nHost: proxy.example.net:3128\r\n\r\n", SITE, 0 },
                { "GET http://h:8080/ HTTP/1.1\r\nHost: h\r\n\r\n", SITE, 0 },
                { "GET http://h:/ HTTP/1.1\r\nHost: h:81\r\n\r\n", SITE, 0 },
                { "GET HTTPS://H./ HTTP/1.1\r\nHost: h:443\r\n\r\n", SITE, 0 },
                { "GET http://h HTTP/1.0\r\n\r\n", SITE, 0 },
                { "GET http://h/chat HTTP/1.1\r\nHost: x\r\n\r\n", CHAT, 0 },
                { "GET http://h?/chat HTTP/1.1\r\nHost: x\r\n\r\n", SITE, 0 },
                { "GET http://h/ HTTP/1.1\r\nHost: plain\r\n\r\n", SITE, 0 },
                { "GET http://h/ HTTP/1.1\r\nHost: only\r\n\r\n", SITE, 0 },
                { "GET http://h/only/a HTTP/1.1\r\nHost: only\r\n\r\n", NO, PROBE_REASON_HTTP_HOST_MISMATCH },
                { "GET http://h/events HTTP/1.1\r\nHost: x\r\n\r\n", NO, PROBE_REASON_HTTP_HOST_MISMATCH },
                { "GET http://h/events HTTP/1.0\r\n\r\n", NO, PROBE_REASON_HTTP_HOST_MISMATCH },
                { "GET http://plain/chat HTTP/1.1\r\nHost: h\r\n\r\n", NO, PROBE_REASON_HTTP_HOST_MISMATCH },
                { "GET http://plain/x/..;/chat HTTP/1.1\r\nHost: h\r\n\r\n", NO, PROBE_REASON_HTTP_HOST_MISMATCH },
                { "GET http://h/x/..;/chat HTTP/1.1\r\nHost: plain\r\n\r\n", NO, PROBE_REASON_HTTP_AMBIGUOUS_PATH },
                { "GET http://x/ HTTP/1.1\r\nHost: h\r\n\r\n", PATH_NONE, 0 },
                { "GET http://u@h/ HTTP/1.1\r\nHost: h\r\n\r\n", NO, PROBE_REASON_HTTP_HOST },
                { "GET http://h/ HTTP/1.1\r\n\r\n", NO, PROBE_REASON_HTTP_NO_HOST },
        };
        _cleanup_(match_index_freep) MatchIndex *index = path_make_index(CAFE);

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                ClientFacts facts = { .listener = "public", .head = slice_from_string(cases[i].head) };
                Probe probe;
                Decision d = decide_head(index, &facts, 16384, &probe);
                int got = d.kind == DECISION_MALFORMED ? NO : d.kind == DECISION_ROUTE ? (int) d.pool : NONE;

                assert_int_equal(got, cases[i].wanted);
                if (d.kind == DECISION_MALFORMED)
                        assert_int_equal(d.reason, cases[i].reason);
        }
}

/* A segment of a Path= that is longer than what is decoded of a piece is never overlooked. */
static void test_long_segment(void **state _unused_) {
        char prefix[402], path[410];
        char *const list[] = { prefix, NULL };
        const RouteMatch long_routes[] = { { .paths = PATH_LIST("/") }, { .paths = (char **) (uintptr_t) list } };
        MatchIndex *index;

        memset(prefix, 'a', sizeof(prefix) - 1);
        prefix[0] = '/';
        prefix[sizeof(prefix) - 1] = 0;

        assert_int_equal(match_index_new(&index), 0);
        for (size_t i = 0; i < ELEMENTSOF(long_routes); i++)
                assert_int_equal(match_index_add(index, &long_routes[i], "a.socket", i), 0);
        assert_int_equal(match_index_finish(index), 0);

        assert_int_equal(path_ask(index, "h", slice_from_string(prefix)), 1);
        (void) snprintf(path, sizeof(path), "%s//", prefix);
        assert_int_equal(path_ask(index, "h", slice_from_string(path)), NO);
        (void) snprintf(path, sizeof(path), "/x/%s//", prefix + 1);
        assert_int_equal(path_ask(index, "h", slice_from_string(path)), 0);

        match_index_free(index);
}

static uint32_t next_random(uint32_t *seed, size_t n) {
        *seed = *seed * 1664525 + 1013904223;
        return (uint32_t) ((uint64_t) (*seed >> 8) * n >> 24);
}

static size_t make_path(uint32_t *seed, uint8_t ret[static 256]) {
        static const char *const words[] = {
                "/", "/", "/", "/", "/", "/", "api", "api", "chat", "v1", "deep", "caf", "talk", "events", "x", "y", "a",
                "/api", "/chat", "/x", "//", "..", "..", ".", "\\", ";", ";a=b", "%2f", "%2F", "%5c", "%2e", "%2E%2e",
                "%61", "%63", "%3b", "%3f", "%23", "%00", "%0a", "%252f", "%252e", "%2561", "%25", "%C3%A9", "%c3%a9", "\xc3\xa9", "%c0%af", "%c0%ae",
                "%e0%80%af", "%", "%zz", "2f", "61", "%20", "%7e", "/..", "/../", "%3b/", "+", "%2b",
        };
        size_t n = 1, n_words = 1 + next_random(seed, 10);

        ret[0] = '/';
        for (size_t i = 0; i < n_words; i++) {
                const char *word = words[next_random(seed, ELEMENTSOF(words))];

                memcpy(ret + n, word, strlen(word));
                n += strlen(word);
        }

        return n;
}

/* A row of steps that a server, or several one behind the other, may do. */
static size_t read_path(uint32_t *seed, uint8_t *p, size_t n) {
        size_t n_steps = next_random(seed, 6);

        for (size_t i = 0; i < n_steps; i++)
                n = path_step((PathStep) next_random(seed, _PATH_STEP_MAX), p, n);

        return n;
}

static void check_readings(size_t n_routes) {
        static const char *const hosts[] = { "h", "h", "plain", "only", "other" };
        _cleanup_(match_index_freep) MatchIndex *index = path_make_index(n_routes);
        unsigned n_taken = 0, n_refused = 0;
        uint32_t seed = 1;

        for (size_t i = 0; i < 40000; i++) {
                const char *host = hosts[next_random(&seed, ELEMENTSOF(hosts))];
                uint8_t path[256], reading[256];
                size_t n = make_path(&seed, path);
                int route = path_ask(index, host, (Slice){ path, n });

                n_taken += route != PATH_REFUSED;
                n_refused += route == PATH_REFUSED;

                for (size_t k = 0; route != PATH_REFUSED && k < 20; k++) {
                        Slice r = { reading, n };

                        memcpy(reading, path, n);
                        r.n = read_path(&seed, reading, n);
                        if (r.n > 0 && path_ask_plainly(n_routes, host, r) != route)
                                fail_msg("%.*s of %s goes to route %i, and its reading %.*s to %i.", (int) n, path, host,
                                         route, (int) r.n, reading, path_ask_plainly(n_routes, host, r));
                }
        }

        assert_true(n_taken > 10000 && n_refused > 5000);
}

/* No reading of a path that is taken leads to another route. */
static void test_readings(void **state _unused_) {
        check_readings(ELEMENTSOF(path_routes));
        check_readings(CAFE);
}

static usec_t usec_of_thread(void) {
        struct timespec ts = {};

        (void) clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
        return (usec_t) ts.tv_sec * USEC_PER_SEC + (usec_t) ts.tv_nsec / 1000;
}

/* Returns the processor time of one question in microseconds, the least of several, because others use the caches. */
static usec_t time_question(const MatchIndex *index, Slice path) {
        usec_t best = USEC_INFINITY;

        for (unsigned i = 0; i < 5; i++) {
                usec_t start = usec_of_thread();

                (void) path_ask(index, "h", path);
                best = MIN(best, usec_of_thread() - start);
        }

        return best;
}

/* A path of 8 KiB takes a bounded time, whatever it consists of. Without limits some of these would take seconds. */
static void test_long_paths(void **state _unused_) {
        static const char *const units[] = {
                "/", "%2f;//..", "..%2f", ";/", "/.", "/a/..", "/chat/..", "/api/v1/..", "%25", "%00", "%zz", "/a%2fb;c",
                "a", "a;", "%252f..", "%25252525", "/a%3f", "%c0%af", "\\..\\api",
        };
        _cleanup_(match_index_freep) MatchIndex *index = path_make_index(ELEMENTSOF(path_routes));
        static uint8_t path[8192] = "/";

        for (size_t i = 0; i < ELEMENTSOF(units); i++) {
                for (size_t k = 1; k < sizeof(path); k++)
                        path[k] = (uint8_t) units[i][(k - 1) % strlen(units[i])];

                assert_in_range(time_question(index, (Slice){ path, sizeof(path) }), 0, 5 * USEC_PER_MSEC);
        }
}

TEST_MAIN(TEST(test_table),
          TEST(test_absolute),
          TEST(test_long_segment),
          TEST(test_readings),
          TEST(test_long_paths))
