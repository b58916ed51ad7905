/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Paths that servers read in different ways are refused where the readings lead to different routes, and only there. */

#include "test.h"

#include <stdio.h>
#include <time.h>

#include "../fuzz/path-readings.h"
#include "basic/time.h"
#include "match/decide.h"

#define LIST(...) ((char **) (uintptr_t) (const char *const[]){ __VA_ARGS__, NULL })

enum { SITE, CHAT, API, DEEP, CAFE, LOGO, EVENTS, ONLY, NONE };

static const RouteMatch routes[] = {
        [SITE] = { .hosts = LIST("h", "plain") },
        [CHAT] = { .hosts = LIST("h"), .paths = LIST("/chat", "/talk") },
        [API] = { .hosts = LIST("h"), .paths = LIST("/api") },
        [DEEP] = { .hosts = LIST("h"), .paths = LIST("/api/v1/deep") },
        [CAFE] = { .hosts = LIST("h"), .paths = LIST("/caf%C3%A9", "/caf%c3%a9", "/one%C3%A9") },
        [LOGO] = { .hosts = LIST("*.w"), .paths = LIST("/logo") },
        [EVENTS] = { .paths = LIST("/events") },
        [ONLY] = { .hosts = LIST("only"), .paths = LIST("/only/a", "/only/b") },
};

static MatchIndex *make_index(const RouteMatch *list, size_t n) {
        MatchIndex *index;

        assert_int_equal(match_index_new(&index), 0);
        for (size_t i = 0; i < n; i++)
                assert_int_equal(match_index_add(index, &list[i], "a.socket", i), 0);
        assert_int_equal(match_index_finish(index), 0);
        return index;
}

/* Returns the number of the route, NONE, or -1 for a path that is refused. */
static int ask(const MatchIndex *index, const char *host, Slice path) {
        ProbeName name;
        ClientFacts facts = { .listener = "public", .protocol = 1U << PROBE_HTTP, .host = &name, .path = path };
        Decision d;

        assert_true(probe_name_set(&name, slice_from_string(host)));
        d = decide_facts(index, &facts);
        if (d.kind == DECISION_MALFORMED)
                assert_int_equal(d.reason, PROBE_REASON_HTTP_AMBIGUOUS_PATH);

        return d.kind == DECISION_MALFORMED ? -1 : d.kind == DECISION_ROUTE ? (int) d.pool : NONE;
}

static void test_table(void **state _unused_) {
        static const struct {
                const char *host, *path;
                int wanted;
        } cases[] = {
                /* No reading comes to lie at or below a Path=. */
                { "h", "/shop;jsessionid=1", SITE },   { "h", "/img//a.png", SITE },      { "h", "/%7Euser/", SITE },
                { "h", "/a%2fb", SITE },               { "h", "/a%2Fb%5Cc", SITE },       { "h", "/a/./b", SITE },
                { "h", "/a/../b", SITE },              { "h", "/a/..", SITE },            { "h", "/a\\b", SITE },
                { "h", "/../../etc/passwd", SITE },    { "h", "/wiki/Who%3F", SITE },     { "h", "/c%23", SITE },
                { "h", "/%252e%252e/", SITE },         { "h", "/a%00", SITE },            { "h", "/t\xc3\xb6", SITE },
                { "h", "/chatter;x", SITE },           { "h", "/x/chat;y", SITE },        { "h", "/x/api//y", SITE },
                { "h", "/https%3A%2F%2Fexample.org%2F", SITE },                           { "h", "/%40me", SITE },
                { "h", "/a;b/c;d/e", SITE },           { "h", "//", SITE },               { "h", "/;", SITE },
                { "h", "/%C0%E1%E2", SITE },           { "h", "/x/y/%zz", SITE },          { "h", "/100%25", SITE },
                { "h", "//x/y", SITE },                { "h", "/api%20x/..", SITE },      { "h", "/What%3F%3F", SITE },
                { "h", "/x/%C0%AE%C0%AE/y", SITE },    { "h", "/%E0%A4%85", SITE },

                /* All readings lie below the same one. */
                { "h", "/chat/a;b", CHAT },            { "h", "/chat//a", CHAT },         { "h", "/chat/%7Euser", CHAT },
                { "h", "/chat/a/../b", CHAT },         { "h", "/chat/a%2fb", CHAT },      { "h", "/chat/./b", CHAT },
                { "h", "/chat/.", CHAT },              { "h", "/chat/", CHAT },           { "h", "/chat//", CHAT },
                { "h", "/chat/a/..", CHAT },           { "h", "/talk/\\x", CHAT },        { "h", "/api/v1;x/y", API },
                { "h", "/api/v2//deep", API },         { "h", "/api/v1/deep/a//b", DEEP }, { "h", "/chat/x%00", CHAT },
                { "h", "/api/v1/deep/a/../b", DEEP },  { "h", "/chat/a%2f..%2fb", CHAT }, { "h", "/chat/a/b/%zz/c", CHAT },
                { "h", "/api/x//v1/deep", API },       { "h", "/chat/\xc3\xb6;x", CHAT },

                /* Some reading lies elsewhere. */
                { "h", "/x/..%2fapi", -1 },            { "h", "/api;x", -1 },             { "h", "//api", -1 },
                { "h", "/%61pi", -1 },                 { "h", "/./api", -1 },             { "h", "/a/../api", -1 },
                { "h", "/api%2f..", -1 },              { "h", "/\\api", -1 },             { "h", "/%zz", -1 },
                { "h", "/api/../admin", -1 },          { "h", "/api/..", -1 },            { "h", "/api/..;/x", -1 },
                { "h", "/api/.%2e/x", -1 },            { "h", "/api%2fx", -1 },           { "h", "/api%5cx", -1 },
                { "h", "/api/%2e%2e%2fx", -1 },        { "h", "/api%00", -1 },            { "h", "/api%00x", -1 },
                { "h", "/api%3fx", -1 },               { "h", "/api%3Fx=/../y", -1 },     { "h", "/api%23x", -1 },
                { "h", "/api%0a", -1 },                { "h", "/a%0Dpi", -1 },            { "h", "/%2561pi", -1 },
                { "h", "/%252fapi", -1 },              { "h", "/x%252f..%252fapi", -1 },  { "h", "/x/%252e%252e/api", -1 },
                { "h", "/x;/../api", -1 },             { "h", "/;/api", -1 },             { "h", "/..;/api", -1 },
                { "h", "/x/..;a=b/api", -1 },          { "h", "/api%3bx", -1 },           { "h", "/%2fapi", -1 },
                { "h", "/%5c%61pi", -1 },              { "h", "//x/api", -1 },            { "h", "/\\x/api", -1 },
                { "h", "///x/api/y", -1 },             { "h", "/x//../../api", -1 },      { "h", "/%c0%afapi", -1 },
                { "h", "/x/%c0%ae%c0%ae/api", -1 },    { "h", "/%e0%80%afapi", -1 },      { "h", "/x%zz../api", -1 },
                { "h", "/%u0061pi", -1 },              { "h", "/api%zz", -1 },            { "h", "/a%zzi", -1 },
                { "h", "/api//v1/deep", -1 },          { "h", "/api/v1%2fdeep", -1 },     { "h", "/api/v1/./deep", -1 },
                { "h", "/api/v1/deep/..", -1 },        { "h", "/api/v1/deep;x", -1 },     { "h", "/api/x/../v1/deep", -1 },
                { "h", "/chat/../api", -1 },           { "h", "/chat/..", -1 },           { "h", "/chat/a/../..", -1 },
                { "h", "/chat//../x", -1 },            { "h", "/chat/%2e./", -1 },        { "h", "/x/../talk", -1 },

                /* An escape that needs not be one, and all ways to write it. */
                { "h", "/caf%C3%A9/x", CAFE },         { "h", "/caf%c3%a9", CAFE },       { "h", "/caf\xc3\xa9", -1 },
                { "h", "/caf%C3%a9", -1 },             { "h", "/one%C3%A9", CAFE },       { "h", "/one%c3%a9", -1 },
                { "h", "/%6fne%C3%A9", -1 },           { "h", "/caf%C3%A9//x", CAFE },

                /* Routes of other hosts do not matter, and those without a host do. */
                { "plain", "/api;x", SITE },           { "plain", "/x/../api", SITE },    { "plain", "/events;x", SITE },
                { "a.w", "/api;x", NONE },             { "a.w", "/logo;x", -1 },          { "a.w", "/logo/x;y", LOGO },
                { "other", "/x;y", NONE },             { "other", "/a//b", NONE },        { "other", "/events;x", -1 },
                { "other", "/events//x", EVENTS },     { "other", "/x%2f..%2fevents", -1 }, { "a.w", "/x/../events", -1 },
                { "only", "/only/a;x", -1 },           { "only", "/only/a/../b", ONLY },  { "only", "/only/a/../c", -1 },
                { "only", "/x;y", NONE },
        };
        _cleanup_(match_index_freep) MatchIndex *index = make_index(routes, ELEMENTSOF(routes));
        unsigned n_wrong = 0;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                int got = ask(index, cases[i].host, slice_from_string(cases[i].path));

                if (got != cases[i].wanted) {
                        print_error("%s of %s: route %i, not %i\n", cases[i].path, cases[i].host, got, cases[i].wanted);
                        n_wrong++;
                }
        }

        assert_int_equal(n_wrong, 0);
}

static bool takes(const char *prefix, Slice path) {
        uint8_t decoded[64];
        Slice p = slice_from_string(prefix);

        if (http_path_has_prefix(path, p))
                return true;

        memcpy(decoded, p.p, p.n);
        return http_path_has_prefix(path, (Slice){ decoded, path_step(PATH_DECODE, decoded, p.n) });
}

static bool names_host(const RouteMatch *m, const char *host) {
        for (char **h = m->hosts; h && *h; h++)
                if (streq(*h, host))
                        return true;

        return !m->hosts;
}

/* Returns 0 if the route does not take the path. The largest number is that of the best route. */
static size_t weigh(const RouteMatch *m, const char *host, Slice path) {
        size_t length = m->paths ? 0 : 1;

        for (char **p = m->paths; p && *p; p++)
                if (takes(*p, path))
                        length = MAX(length, strlen(*p) + 1);

        return length > 0 && names_host(m, host) ? length + (m->hosts ? 1000 : 0) : 0;
}

/* The route of a path that is read in one way, found without an index. */
static int ask_plainly(const char *host, Slice path) {
        int best = NONE;

        for (int i = 0; i < NONE; i++)
                if (weigh(&routes[i], host, path) > (best == NONE ? 0 : weigh(&routes[best], host, path)))
                        best = i;

        return best;
}

static uint32_t next_random(uint32_t *seed, size_t n) {
        *seed = *seed * 1664525 + 1013904223;
        return (uint32_t) ((uint64_t) (*seed >> 8) * n >> 24);
}

static size_t make_path(uint32_t *seed, uint8_t ret[static 256]) {
        static const char *const words[] = {
                "/", "/", "/", "/", "/", "/", "api", "api", "chat", "v1", "deep", "caf", "talk", "events", "x", "y", "a", "/api", "/chat", "/x",
                "//", "..", "..", ".", "\\", ";", ";a=b", "%2f", "%2F", "%5c", "%2e", "%2E%2e", "%61", "%63", "%3b", "%3f",
                "%23", "%00", "%0a", "%252f", "%252e", "%2561", "%25", "%C3%A9", "%c3%a9", "\xc3\xa9", "%c0%af", "%c0%ae",
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

/* No reading of a path that is taken leads to another route. */
static void test_readings(void **state _unused_) {
        static const char *const hosts[] = { "h", "plain", "only", "other" };
        _cleanup_(match_index_freep) MatchIndex *index = make_index(routes, ELEMENTSOF(routes));
        unsigned n_taken = 0, n_refused = 0;
        uint32_t seed = 1;

        for (size_t i = 0; i < 60000; i++) {
                const char *host = hosts[next_random(&seed, ELEMENTSOF(hosts))];
                uint8_t path[256], reading[256];
                size_t n = make_path(&seed, path);
                int route = ask(index, host, (Slice){ path, n });

                n_taken += route >= 0;
                n_refused += route < 0;

                for (size_t k = 0; route >= 0 && k < 20; k++) {
                        Slice r = { reading, n };

                        memcpy(reading, path, n);
                        r.n = read_path(&seed, reading, n);
                        if (r.n > 0 && ask_plainly(host, r) != route)
                                fail_msg("%.*s of %s goes to route %i, and %.*s, as which it may be read, to %i.", (int) n, path, host, route,
                                         (int) r.n, reading, ask_plainly(host, r));
                }
        }

        assert_true(n_taken > 20000 && n_refused > 10000);
}

static usec_t usec_of_thread(void) {
        struct timespec ts = {};

        (void) clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
        return (usec_t) ts.tv_sec * USEC_PER_SEC + (usec_t) ts.tv_nsec / 1000;
}

/* Returns the processor time of one question in microseconds: the least of several, because others use the caches too. */
static usec_t time_question(const MatchIndex *index, Slice path) {
        usec_t best = USEC_INFINITY;

        for (unsigned i = 0; i < 5; i++) {
                usec_t start = usec_of_thread();

                (void) ask(index, "h", path);
                best = MIN(best, usec_of_thread() - start);
        }

        return best;
}

/* A path of 8 KiB takes a bounded time, whatever it consists of. Without limits some of these would take seconds. */
static void test_long_paths(void **state _unused_) {
        static const char *const units[] = {
                "/", "%2f;//..", "..%2f", ";/", "/.", "/a/..", "/chat/..", "/api/v1/..", "%25", "%00", "%zz", "/a%2fb;c", "a", "a;",
                "%252f..", "%25252525", "/a%3f", "%c0%af", "\\..\\api",
        };
        _cleanup_(match_index_freep) MatchIndex *index = make_index(routes, ELEMENTSOF(routes));
        static uint8_t path[8192] = "/";

        for (size_t i = 0; i < ELEMENTSOF(units); i++) {
                for (size_t k = 1; k < sizeof(path); k++)
                        path[k] = (uint8_t) units[i][(k - 1) % strlen(units[i])];

                assert_in_range(time_question(index, (Slice){ path, sizeof(path) }), 0, 5 * USEC_PER_MSEC);
        }
}

TEST_MAIN(TEST(test_table),
          TEST(test_readings),
          TEST(test_long_paths))
