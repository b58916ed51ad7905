/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "test-probe.h"

#define HEAD_MAX 16384

/* One line of data/http-heads.txt, its escapes resolved. */
typedef struct Head {
        unsigned line;
        char verdict[16];
        char first[512];  /* host or reason */
        char second[512]; /* path */
        uint8_t bytes[1024];
        size_t n;
} Head;

static size_t unescape(const char *s, uint8_t *ret, size_t size) {
        size_t n = 0;

        while (*s) {
                unsigned value, count = 1;
                int k = 2;

                if (*s != '\\') {
                        value = (unsigned char) *s;
                        k = 1;
                } else if (s[1] == 'x')
                        assert_int_equal(sscanf(s, "\\x%2x%n", &value, &k), 1);
                else if (s[1] == '{') {
                        char c;

                        assert_int_equal(sscanf(s, "\\{%u:%c}%n", &count, &c, &k), 2);
                        value = (unsigned char) c;
                } else
                        value = s[1] == 'r' ? '\r' :
                                s[1] == 'n' ? '\n' :
                                s[1] == 't' ? '\t' :
                                s[1] == '0' ? 0 :
                                              '\\';

                assert_true(n + count < size);
                memset(ret + n, (int) value, count);
                n += count;
                s += k;
        }

        ret[n] = 0;
        return n;
}

static bool next_head(FILE *f, Head *ret) {
        char line[2048], first[512], second[512], *bar;

        while (fgets(line, sizeof(line), f)) {
                ret->line++;
                line[strcspn(line, "\n")] = 0;
                if (line[0] == 0 || line[0] == '#')
                        continue;

                bar = strstr(line, " |");
                assert_non_null(bar);
                *bar = 0;

                assert_int_equal(sscanf(line, "%15s %511s %511s", ret->verdict, first, second), 3);
                (void) unescape(first, (uint8_t *) ret->first, sizeof(ret->first));
                (void) unescape(second, (uint8_t *) ret->second, sizeof(ret->second));
                ret->n = unescape(bar + 2, ret->bytes, sizeof(ret->bytes));
                return true;
        }

        return false;
}

/* The result of the probe, in the words of the file. */
static void outcome_of(const Head *head, char *ret, size_t size) {
        HttpFacts f;
        ProbeVerdict v;

        v = probe_http1(head->bytes, head->n, HEAD_MAX, &f);

        if (v == PROBE_MALFORMED)
                (void) snprintf(ret, size, "malformed %s -", probe_reason_to_string(f.reason));
        else if (v != PROBE_MATCH)
                (void) snprintf(ret, size, "%s - -", verdict_to_string(v));
        else
                (void) snprintf(ret, size, "%s %s %.*s",
                                http_path_is_ambiguous(f.path) ? "ambiguous" : "match",
                                f.host.n > 0 ? f.host.text : "-", f.path.n > 0 ? (int) f.path.n : 1,
                                f.path.n > 0 ? (const char *) f.path.p : "-");
}

/* Each head of the collection is read as written beside it. */
static void test_heads(void **state _unused_) {
        _cleanup_fclose_ FILE *f = open_tests_file("unit/data/http-heads.txt");
        unsigned n = 0, n_wrong = 0, n_hostile = 0;
        Head head = {};

        while (next_head(f, &head)) {
                char wanted[1100], got[1100];

                (void) snprintf(wanted, sizeof(wanted), "%s %s %s", head.verdict, head.first, head.second);
                outcome_of(&head, got, sizeof(got));

                if (!streq(got, wanted)) {
                        print_error("http-heads.txt:%u: it is \"%s\", not \"%s\"\n", head.line, got, wanted);
                        n_wrong++;
                }

                n++;
                n_hostile += streq(head.verdict, "malformed") || streq(head.verdict, "ambiguous");
        }

        assert_int_equal(n_wrong, 0);
        assert_true(n >= 600);
        assert_true(n_hostile >= 300);
}

/* No cut changes what a head is, nor does it where the limit is met on the way. */
static void test_heads_cut(void **state _unused_) {
        _cleanup_fclose_ FILE *f = open_tests_file("unit/data/http-heads.txt");
        Head head = {};

        while (next_head(f, &head)) {
                assert_split_invariant(head.bytes, head.n, HEAD_MAX, probe_text_client);
                assert_split_invariant(head.bytes, head.n, 40, probe_text_client);
        }
}

static ProbeVerdict probe_string(const char *s, size_t max, HttpFacts *ret) {
        return probe_http1((const uint8_t *) s, strlen(s), max, ret);
}

static void assert_slice(Slice s, const char *wanted) {
        assert_int_equal(s.n, strlen(wanted));
        assert_memory_equal(s.p, wanted, s.n);
}

/* The facts besides host and path, and that the head ends where the next byte begins. */
static void test_facts(void **state _unused_) {
        static const char head[] = "\r\nPOST http://[2001:DB8::1]:8080/a/b?c=d HTTP/1.1\r\n"
                                   "Host: [2001:db8:0::1]:8080\r\n"
                                   "Content-Length: 4\r\n\r\n";
        char request[256];
        HttpFacts f;

        (void) snprintf(request, sizeof(request), "%sbody", head);
        assert_int_equal(probe_string(request, HEAD_MAX, &f), PROBE_MATCH);
        assert_int_equal(f.reason, PROBE_REASON_NONE);
        assert_slice(f.method, "POST");
        assert_slice(f.target, "http://[2001:DB8::1]:8080/a/b?c=d");
        assert_slice(f.path, "/a/b");
        assert_int_equal(f.form, HTTP_FORM_ABSOLUTE);
        assert_int_equal(f.minor, 1);
        assert_string_equal(f.host.text, "[2001:db8::1]");
        assert_int_equal(f.port, 8080);
        assert_int_equal(f.head_length, strlen(head));

        /* Without a port, and without a host: HTTP/1.0. */
        assert_int_equal(probe_string("GET /x HTTP/1.0\r\n\r\n", HEAD_MAX, &f), PROBE_MATCH);
        assert_int_equal(f.form, HTTP_FORM_ORIGIN);
        assert_int_equal(f.minor, 0);
        assert_int_equal(f.host.n, 0);
        assert_int_equal(f.port, 0);
        assert_int_equal(f.fields.n, 0);
}

/* A head may be just as long as the limit; one byte more, or none that ends it, is too large. */
static void test_limit(void **state _unused_) {
        static const char head[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        HttpFacts f;

        assert_int_equal(probe_string(head, strlen(head), &f), PROBE_MATCH);
        assert_int_equal(probe_string(head, strlen(head) - 1, &f), PROBE_MALFORMED);
        assert_int_equal(f.reason, PROBE_REASON_TOO_LARGE);
        assert_int_equal(probe_http1((const uint8_t *) head, 20, 20, &f), PROBE_MALFORMED);
        assert_int_equal(probe_http1((const uint8_t *) head, 20, 21, &f), PROBE_NEED_MORE);

        /* An error before the limit stays an error. */
        assert_int_equal(probe_string("GET / HTTP/1.1\nHost: a", 15, &f), PROBE_MALFORMED);
        assert_int_equal(f.reason, PROBE_REASON_HTTP_BARE_LF);

        assert_int_equal(probe_reason_http_status(PROBE_REASON_TOO_LARGE), 431);
        assert_int_equal(probe_reason_http_status(PROBE_REASON_HTTP_BARE_LF), 400);
        assert_int_equal(probe_reason_http_status(PROBE_REASON_TLS_NAME), 0);
        assert_int_equal(probe_reason_http_status(_PROBE_REASON_MAX), 0);
}

/* The method is known as soon as the bytes are HTTP's for sure, so that a refusal at the deadline can be. */
static void test_method_early(void **state _unused_) {
        HttpFacts f;

        assert_int_equal(probe_string("GET", HEAD_MAX, &f), PROBE_NEED_MORE);
        assert_int_equal(f.method.n, 0);
        assert_int_equal(probe_string("GET ", HEAD_MAX, &f), PROBE_NEED_MORE);
        assert_slice(f.method, "GET");
        assert_int_equal(probe_string("EHLO h", HEAD_MAX, &f), PROBE_NEED_MORE);
        assert_int_equal(f.method.n, 0);
        assert_int_equal(probe_string("EHLO host.example", HEAD_MAX, &f), PROBE_NO_MATCH);
        assert_int_equal(probe_string("MKCOL /", HEAD_MAX, &f), PROBE_NEED_MORE);
        assert_slice(f.method, "MKCOL");
}

/* The fields come one by one, as written but for the white space around the values. */
static void test_fields(void **state _unused_) {
        Slice fields, name, value;
        HttpFacts f;

        assert_int_equal(probe_string("GET / HTTP/1.1\r\n"
                                      "Host: a\r\n"
                                      "X-Empty:\r\n"
                                      "Cookie: \t a=b; c=\"d:e\"\t \r\n"
                                      "X-Space: \t\r\n"
                                      "\r\n"
                                      "Not: a field\r\n",
                                      HEAD_MAX, &f), PROBE_MATCH);
        fields = f.fields;

        assert_true(http_next_field(&fields, &name, &value));
        assert_slice(name, "Host");
        assert_slice(value, "a");
        assert_true(http_next_field(&fields, &name, &value));
        assert_slice(name, "X-Empty");
        assert_slice(value, "");
        assert_true(http_next_field(&fields, &name, &value));
        assert_slice(name, "Cookie");
        assert_slice(value, "a=b; c=\"d:e\"");
        assert_true(http_next_field(&fields, &name, &value));
        assert_slice(name, "X-Space");
        assert_slice(value, "");
        assert_false(http_next_field(&fields, &name, &value));

        /* Bytes that no probe has seen end the walk, and nothing else. */
        fields = SLICE_LITERAL("no colon\r\n");
        assert_false(http_next_field(&fields, &name, &value));
        fields = SLICE_LITERAL("no: end");
        assert_false(http_next_field(&fields, &name, &value));
        fields = SLICE_LITERAL("half: end\r");
        assert_true(http_next_field(&fields, &name, &value));
        assert_int_equal(fields.n, 0);
}

static bool wants(const char *version, const char *fields, const char *protocol) {
        char head[512];
        HttpFacts f;

        (void) snprintf(head, sizeof(head), "GET / HTTP/%s\r\nHost: a\r\n%s\r\n", version, fields);
        assert_int_equal(probe_string(head, HEAD_MAX, &f), PROBE_MATCH);
        return http_wants_upgrade(&f, protocol);
}

/* It takes both fields, in any case and in any number of lines, and HTTP/1.1. */
static void test_upgrade(void **state _unused_) {
        assert_true(wants("1.1", "Connection: Upgrade\r\nUpgrade: websocket\r\n", "websocket"));
        assert_true(wants("1.1", "UPGRADE: WebSocket\r\nconnection: UPGRADE\r\n", "websocket"));
        assert_true(wants("1.1", "Connection: x, upgrade\r\nUpgrade: h2c ,websocket\r\n", "websocket"));
        assert_true(wants("1.1", "Connection: a\r\nConnection: upgrade\r\n"
                                 "Upgrade: x\r\nUpgrade: websocket\r\n", "websocket"));
        assert_true(wants("1.1", "Connection: ,, upgrade,\r\nUpgrade: websocket/13\r\n", "websocket"));
        assert_true(wants("1.1", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n", "h2c"));

        assert_false(wants("1.0", "Connection: Upgrade\r\nUpgrade: websocket\r\n", "websocket"));
        assert_false(wants("1.1", "Upgrade: websocket\r\n", "websocket"));
        assert_false(wants("1.1", "Connection: upgrade\r\n", "websocket"));
        assert_false(wants("1.1", "Connection: close\r\nUpgrade: websocket\r\n", "websocket"));
        assert_false(wants("1.1", "Connection: upgraded\r\nUpgrade: websocket\r\n", "websocket"));
        assert_false(wants("1.1", "Connection: upgrade\r\nUpgrade: websockets\r\n", "websocket"));
        assert_false(wants("1.1", "Connection: upgrade\r\nUpgrade: web\r\n", "websocket"));
        assert_false(wants("1.1", "Connection:\r\nUpgrade:\r\n", "websocket"));
}

/* A prefix takes whole segments. The ambiguous paths are in the collection. */
static void test_path_prefix(void **state _unused_) {
        static const struct {
                const char *path, *prefix;
                bool takes;
        } cases[] = {
                { "/chat", "/chat", true },       { "/chat/", "/chat", true },     { "/chat/x", "/chat", true },
                { "/chatter", "/chat", false },   { "/cha", "/chat", false },      { "/", "/chat", false },
                { "/chat", "/chat/", false },     { "/chat/", "/chat/", true },    { "/chat/x", "/chat/", true },
                { "/Chat", "/chat", false },      { "/chat%20", "/chat", false },  { "/", "/", true },
                { "/x", "/", true },              { "", "/", true },               { "", "/x", false },
                { "*", "/", false },              { "/x", "", false },             { "/a/b/c", "/a/b", true },
                { "/a/bc", "/a/b", false },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_int_equal(http_path_has_prefix(slice_from_string(cases[i].path),
                                                      slice_from_string(cases[i].prefix)),
                                 cases[i].takes);

        assert_false(http_path_is_ambiguous(SLICE_LITERAL("")));
        assert_false(http_path_is_ambiguous(SLICE_LITERAL("*")));
}

TEST_MAIN(TEST(test_heads),
          TEST(test_heads_cut),
          TEST(test_facts),
          TEST(test_limit),
          TEST(test_method_early),
          TEST(test_fields),
          TEST(test_upgrade),
          TEST(test_path_prefix))
