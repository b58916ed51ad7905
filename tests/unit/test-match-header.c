/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Header= of many routes: the same answers as route by route, and no more work than for one. */

#include "test.h"

#include <stdio.h>

#include "match/match-header.h"
#include "match/match.h"

#define N_ROUTES 200
#define NONE SIZE_MAX

/* Calls of the two functions that read a head: the linker puts these wrappers in front of them. */
static size_t n_fields_read, n_values_compared;

bool __real_http_next_field(Slice *fields, Slice *ret_name, Slice *ret_value);
bool __wrap_http_next_field(Slice *fields, Slice *ret_name, Slice *ret_value);
int __real_fnmatch(const char *glob, const char *text, int flags);
int __wrap_fnmatch(const char *glob, const char *text, int flags);

bool __wrap_http_next_field(Slice *fields, Slice *ret_name, Slice *ret_value) {
        n_fields_read++;
        return __real_http_next_field(fields, ret_name, ret_value);
}

int __wrap_fnmatch(const char *glob, const char *text, int flags) {
        n_values_compared++;
        return __real_fnmatch(glob, text, flags);
}

/* Routes that differ by their Header= only, and the index of them. */
typedef struct Fixture {
        char names[N_ROUTES][24], globs[N_ROUTES][24];
        HeaderMatch headers[N_ROUTES];
        RouteMatch routes[N_ROUTES];
        MatchIndex *index;
} Fixture;

static Fixture fixture;

/* A "#" in @name and @glob stands for the route's number. */
static void set_text(char text[static 24], const char *pattern, size_t i) {
        size_t n = strcspn(pattern, "#");

        (void) snprintf(text, 24, "%.*s", (int) n, pattern);
        if (pattern[n])
                (void) snprintf(text + n, 24 - n, "%03zu%s", i, pattern + n + 1);
}

static void fixture_make(size_t n, const char *name, const char *glob) {
        assert_int_equal(match_index_new(&fixture.index), 0);

        for (size_t i = 0; i < n; i++) {
                set_text(fixture.names[i], name, i);
                set_text(fixture.globs[i], glob, i);
                fixture.headers[i] = (HeaderMatch){ fixture.names[i], fixture.globs[i] };
                fixture.routes[i] = (RouteMatch){ .headers = &fixture.headers[i], .n_headers = 1 };
                assert_int_equal(match_index_add(fixture.index, &fixture.routes[i], fixture.names[i], i), 0);
        }

        assert_int_equal(match_index_finish(fixture.index), 0);
}

static size_t find(const MatchIndex *index, const char *fields) {
        MatchResult result;

        n_fields_read = n_values_compared = 0;
        match_index_find(index, &(ClientFacts){ .listener = "public", .fields = slice_from_string(fields) }, &result);
        return result.found ? result.pool : NONE;
}

static char head[65536];

/* @n fields that are all alike, and then @last. */
static const char *head_of(size_t n, const char *field, const char *last) {
        size_t size = strlen(field);

        assert_true(n * size + strlen(last) < sizeof(head));
        for (size_t i = 0; i < n; i++)
                memcpy(head + i * size, field, size);
        memcpy(head + n * size, last, strlen(last) + 1);
        return head;
}

/* The fields are read once, and no pattern is tried on a field of another name. */
static void test_many_names(void **state) {
        fixture_make(N_ROUTES, "x-tenant-#", "yes");

        assert_int_equal(find(fixture.index, head_of(4000, "a:\r\n", "")), NONE);
        assert_true(n_fields_read <= 4001);
        assert_int_equal(n_values_compared, 0);

        assert_int_equal(find(fixture.index, head_of(4000, "a:\r\n", "X-Tenant-117: yes\r\n")), 117);
        assert_true(n_fields_read <= 4002);

        match_index_free(fixture.index);
}

/* No field is read for routes without Header=. */
static void test_no_header(void **state) {
        const RouteMatch any = {};
        MatchIndex *index;

        assert_int_equal(match_index_new(&index), 0);
        assert_int_equal(match_index_add(index, &any, "a.socket", 0), 0);
        assert_int_equal(match_index_finish(index), 0);

        assert_int_equal(find(index, head_of(4000, "a:\r\n", "")), 0);
        assert_int_equal(n_fields_read, 0);
        match_index_free(index);
}

/* Of one name that all routes mention, the first HEADER_VALUES_MAX values count. */
static void test_many_values(void **state) {
        fixture_make(N_ROUTES, "cookie", "*[t]enant=#*");

        assert_int_equal(find(fixture.index, head_of(3, "Cookie: a=b\r\n", "COOKIE: c; tenant=117\r\n")), 117);

        assert_int_equal(find(fixture.index, head_of(1400, "Cookie: b\r\n", "")), NONE);
        assert_true(n_fields_read <= 1401);
        assert_true(n_values_compared <= N_ROUTES * HEADER_VALUES_MAX);

        assert_int_equal(find(fixture.index, head_of(HEADER_VALUES_MAX - 1, "Cookie: b\r\n", "Cookie: tenant=117\r\n")), 117);
        assert_int_equal(find(fixture.index, head_of(HEADER_VALUES_MAX, "Cookie: b\r\n", "Cookie: tenant=117\r\n")), NONE);
        match_index_free(fixture.index);
}

/* The values of one head do not count for the next one. */
static void test_next_head(void **state) {
        fixture_make(2, "x-#", "yes");

        assert_int_equal(find(fixture.index, "X-001: yes\r\n"), 1);
        assert_int_equal(find(fixture.index, "X-002: yes\r\n"), NONE);
        assert_int_equal(find(fixture.index, ""), NONE);
        assert_int_equal(find(fixture.index, "X-000: no\r\nX-000: yes\r\n"), 0);
        match_index_free(fixture.index);
}

/* Fields that are lists: any element counts, in any case and any field line, and not one that the client excludes. */
static void test_lists(void **state) {
        static const struct {
                const char *name, *glob, *fields;
                bool takes;
        } cases[] = {
                { "upgrade", "websocket", "Upgrade: websocket\r\n", true },
                { "upgrade", "websocket", "UPGRADE: WebSocket\r\n", true },
                { "upgrade", "websocket", "Upgrade: WEBSOCKET\r\n", true },
                { "upgrade", "websocket", "Upgrade: websocket, h2c\r\n", true },
                { "upgrade", "websocket", "Upgrade: h2c ,\tWebsocket\r\n", true },
                { "upgrade", "websocket", "Upgrade: ,websocket,\r\n", true },
                { "upgrade", "websocket", "Upgrade: h2c\r\nHost: h\r\nUpgrade: WebSocket\r\n", true },
                { "upgrade", "websocket", "Upgrade: websocket2\r\n", false },
                { "upgrade", "websocket", "Upgrade: a websocket\r\n", false },
                { "upgrade", "websocket", "Upgrade: \"websocket,\"\r\n", false },
                { "upgrade", "websocket", "Upgrade: \"a\\\",websocket\"\r\n", false },
                { "upgrade", "websocket", "Upgrade: \"a\\\"\",websocket\r\n", true },
                { "upgrade", "websocket*", "Upgrade: h2c, WebSocket/13\r\n", true },
                { "upgrade", "[w]ebsocke?", "Upgrade: h2c, WEBSOCKET\r\n", true },
                { "upgrade", "websocket, h2c", "Upgrade: WebSocket, H2C\r\n", true },
                { "upgrade", "*socket*h2c", "Upgrade: WebSocket, H2C\r\n", true },
                { "upgrade", "websocket", "X-Upgrade: websocket\r\n", false },
                { "connection", "upgrade", "Connection: keep-alive, Upgrade\r\n", true },
                { "accept-encoding", "br", "Accept-Encoding: gzip, deflate, BR\r\n", true },
                { "accept-encoding", "br", "Accept-Encoding: gzip;q=0.5, br ; q=0.1\r\n", true },
                { "accept-encoding", "br", "Accept-Encoding: gzip, br;q=0\r\n", false },
                { "accept-encoding", "br", "Accept-Encoding: br; Q=0.000\r\n", false },
                { "accept-encoding", "br", "Accept-Encoding: br;q=0.001\r\n", true },
                { "accept-encoding", "br;q=0", "Accept-Encoding: gzip, br;q=0\r\n", true },
                { "accept", "text/event-stream", "Accept: Text/Event-Stream;charset=utf-8;q=0.9, */*;q=0.1\r\n", true },
                { "accept", "text/html", "Accept: text/plain; x=\",text/html,\"\r\n", false },
                { "accept-language", "de*", "Accept-Language: en, DE-at;q=0.3\r\n", true },
                { "te", "trailers", "TE: trailers, deflate;q=0.5\r\n", true },
                { "transfer-encoding", "chunked", "Transfer-Encoding: gzip, Chunked\r\n", true },
                { "cache-control", "no-cache", "Cache-Control: No-Cache, max-age=0\r\n", true },
                { "expect", "100-continue", "Expect: 100-Continue\r\n", true },

                /* No lists, or with case. */
                { "cookie", "a", "Cookie: b,a\r\n", false },
                { "cookie", "a", "Cookie: A\r\n", false },
                { "x-upgrade", "websocket", "X-Upgrade: WebSocket\r\n", false },
                { "sec-websocket-protocol", "chat", "Sec-WebSocket-Protocol: Chat, chat\r\n", false },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                HeaderMatch header = { (char *) (uintptr_t) cases[i].name, (char *) (uintptr_t) cases[i].glob };
                const RouteMatch route = { .headers = &header, .n_headers = 1 };
                MatchIndex *index;

                assert_int_equal(match_index_new(&index), 0);
                assert_int_equal(match_index_add(index, &route, "a.socket", 0), 0);
                assert_int_equal(match_index_finish(index), 0);

                if (match_takes_fields(&route, slice_from_string(cases[i].fields)) != cases[i].takes ||
                    (find(index, cases[i].fields) == 0) != cases[i].takes)
                        fail_msg("%s: %s and %s", cases[i].name, cases[i].glob, cases[i].fields);
                match_index_free(index);
        }
}

/* The elements of a head are limited as its fields are, and a name with many leaves room for the others. */
static void test_many_elements(void **state) {
        enum { N = 1000 };
        char fields[4 * N + 64];
        size_t n = 0;

        fixture_make(N_ROUTES, "upgrade", "[t]enant#");
        n = (size_t) snprintf(fields, sizeof(fields), "Upgrade: ");
        for (size_t i = 0; i < N; i++)
                n += (size_t) snprintf(fields + n, sizeof(fields) - n, "b,");
        (void) snprintf(fields + n, sizeof(fields) - n, "tenant117\r\n");

        assert_int_equal(find(fixture.index, fields), NONE);
        assert_true(n_values_compared <= N_ROUTES * HEADER_VALUES_MAX);
        assert_int_equal(find(fixture.index, "Upgrade: a, b, Tenant117\r\n"), 117);
        match_index_free(fixture.index);
}

/* A small generator (numerical recipes): each run asks the same. */
static unsigned next_number(unsigned n) {
        static uint32_t number = 1;

        number = number * 1664525 + 1013904223;
        return (number >> 16) % n;
}

static const char *const some_names[] = { "a", "b", "cookie", "x-long-name", "upgrade", "accept" };
static const char *const some_globs[] = { "", "*", "x", "x*", "*x", "*x*", "[xy]", "?", "\\x", "yy" };
static const char *const some_values[] = { "", "x", "y", "xy", "yx", "yxy", "yy", "*", "Y, x", "XY;q=1,y", ",,y;q=0", "\"x,y\"" };

#define ANY_OF(array) (array)[next_number(ELEMENTSOF(array))]

/* Up to four patterns, those of one name side by side, as the units are read. */
static RouteMatch some_route(HeaderMatch headers[static 4]) {
        RouteMatch m = { .headers = headers };

        for (size_t i = 0; i < ELEMENTSOF(some_names) && m.n_headers < 4; i++)
                for (unsigned n = next_number(4) / 2; n > 0 && m.n_headers < 4; n--)
                        headers[m.n_headers++] = (HeaderMatch){ (char *) (uintptr_t) some_names[i],
                                                                (char *) (uintptr_t) ANY_OF(some_globs) };

        return m;
}

static const char *some_head(void) {
        size_t n = 0;

        head[0] = 0;
        for (unsigned i = next_number(8); i > 0; i--)
                n += (size_t) snprintf(head + n, sizeof(head) - n, "%s: %s\r\n", ANY_OF(some_names), ANY_OF(some_values));

        return head;
}

static const char *some_text(char text[static 8], const char *alphabet) {
        size_t n = next_number(7);

        for (size_t i = 0; i < n; i++)
                text[i] = alphabet[next_number((unsigned) strlen(alphabet))];
        text[n] = 0;
        return text;
}

/* A pattern is what glob(7) says, whatever shortcuts there are. */
static void test_as_fnmatch(void **state) {
        unsigned n_taken = 0;

        for (unsigned i = 0; i < 200000; i++) {
                char glob[8], value[8], fields[32];
                HeaderMatch header = { (char *) (uintptr_t) "a", glob };
                const RouteMatch route = { .headers = &header, .n_headers = 1 };
                bool takes;

                (void) some_text(glob, next_number(2) ? "xy*" : "xy*?[]\\");
                (void) snprintf(fields, sizeof(fields), "A: %s\r\n", some_text(value, "xy"));
                takes = match_takes_fields(&route, slice_from_string(fields));
                if (takes != (__real_fnmatch(glob, value, 0) == 0))
                        fail_msg("\"%s\" and \"%s\"", glob, value);
                n_taken += takes;
        }

        assert_in_range(n_taken, 10000, 190000);
}

/* The index says of any head what the route alone says. */
static void test_as_route_by_route(void **state) {
        unsigned n_taken = 0;

        for (unsigned i = 0; i < 2500; i++) {
                HeaderMatch headers[2][4];
                const RouteMatch routes[] = { some_route(headers[0]), some_route(headers[1]) };
                HeaderIndex *index;

                assert_int_equal(header_index_new(&index), 0);
                for (size_t k = 0; k < ELEMENTSOF(routes); k++)
                        assert_int_equal(header_index_add(index, &routes[k]), 0);
                assert_int_equal(header_index_finish(index), 0);

                for (unsigned n = 0; n < 20; n++) {
                        Slice fields = slice_from_string(some_head());

                        header_index_begin(index, fields);
                        for (size_t k = 0; k < ELEMENTSOF(routes); k++) {
                                bool takes = match_takes_fields(&routes[k], fields);

                                assert_int_equal(header_index_takes(index, &routes[k]), takes);
                                n_taken += takes && routes[k].n_headers > 0;
                        }
                }
                header_index_free(index);
        }

        assert_in_range(n_taken, 1000, 19000); /* else the cases are no cases */
}

TEST_MAIN(TEST(test_many_names),
          TEST(test_no_header),
          TEST(test_many_values),
          TEST(test_next_head),
          TEST(test_lists),
          TEST(test_many_elements),
          TEST(test_as_route_by_route),
          TEST(test_as_fnmatch))
