/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Flusher=redirect by itself: which addresses a unit may say, and what a request gets. */

#include "test.h"

#include "flusher/redirect.h"
#include "probe/http.h"

static char bytes[FDPASS_FLUSHER_OUTPUT_MAX + 1];

static struct fdpass_flusher_text text_of(const void *p, size_t n) {
        return (struct fdpass_flusher_text){ p, n };
}

/* Answers the request. Returns the verdict; the status is in *ret_status, and the response in @bytes. */
static int answer(const char *template, const char *head, const char *fields, unsigned *ret_status) {
        struct fdpass_flusher_output output = { .size = sizeof(output), .bytes = bytes, .capacity = FDPASS_FLUSHER_OUTPUT_MAX };
        struct fdpass_flusher_request r = {
                .size = sizeof(r),
                .argument = template,
                .status = 308,
                .reason = "Permanent Redirect",
                .response_fields = fields,
                .date = "DATE",
                .header = flusher_header,
                .head = flusher_head,
        };
        HttpFacts http;
        int verdict;

        assert_int_equal(probe_http1((const uint8_t *) head, strlen(head), 65536, &http), PROBE_MATCH);
        r.method = text_of(http.method.p, http.method.n);
        r.target = text_of(http.target.p, http.target.n);
        r.host = text_of(http.host.text, http.host.n);
        r.fields = text_of(http.fields.p, http.fields.n);
        r.minor = http.minor;

        assert_int_equal(flusher_redirect.check(template), 0);
        verdict = flusher_redirect.flush(&r, &output);
        assert_true(output.len <= FDPASS_FLUSHER_OUTPUT_MAX);
        bytes[output.len] = '\0';
        *ret_status = output.status;
        return verdict;
}

/* The whole response, with this line Location. */
static void expect(const char *template, const char *head, const char *location, bool has_body) {
        _cleanup_free_ char *wanted = NULL;
        unsigned status;

        assert_int_equal(answer(template, head, "Server: test\r\n", &status), FDPASS_FLUSHER_DONE);
        assert_int_equal(status, 308);
        assert_true(asprintf(&wanted, "HTTP/1.1 308 Permanent Redirect\r\nDate: DATE\r\nServer: test\r\nLocation: %s\r\n"
                             "Content-Type: text/plain\r\nContent-Length: 28\r\nConnection: close\r\n\r\n%s", location,
                             has_body ? "This is at another address.\n" : "") > 0);
        assert_string_equal(bytes, wanted);
}

static void expect_get(const char *template, const char *target, const char *host, const char *location) {
        _cleanup_free_ char *head = NULL;

        assert_true(asprintf(&head, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", target, host) > 0);
        expect(template, head, location, true);
}

#define SAME "https://%h%u"

static void test_addresses(void **state) {
        expect_get(SAME, "/", "example.org", "https://example.org/");
        expect_get(SAME, "/a/b?c=d&e", "Example.ORG", "https://example.org/a/b?c=d&e");
        expect_get(SAME, "/", "example.org.:8080", "https://example.org/");
        expect_get(SAME, "/x", "[2001:DB8::1]:80", "https://[2001:db8::1]/x");
        expect_get(SAME, "/x", "192.0.2.1", "https://192.0.2.1/x");
        expect_get("https://%h:8443%u", "/x", "a:80", "https://a:8443/x");
        expect_get("http://Www.Example.org:81/new%20x%u", "/x?y", "a", "http://www.example.org:81/new%20x/x?y");
        expect_get("https://[2001:db8::2]/", "/x?y", "a", "https://[2001:db8::2]/");
        expect_get("https://b", "/x", "a", "https://b");
        expect_get("https://b/x?y=z#f", "/x", "a", "https://b/x?y=z#f");
}

/* The path of a request is never taken for a host, and every byte is one that an address has. */
static void test_hostile(void **state) {
        expect_get(SAME, "//evil.example/", "a", "https://a//evil.example/");
        expect_get(SAME, "/\\evil.example", "a", "https://a/%5Cevil.example");
        expect_get(SAME, "/@evil.example", "a", "https://a/@evil.example");
        expect_get(SAME, "/<b>\"'`{|}^", "a", "https://a/%3Cb%3E%22'%60%7B%7C%7D%5E");
        expect_get(SAME, "/\xc3\xa9\xff", "a", "https://a/%C3%A9%FF");
        expect_get(SAME, "/%0d%0aSet-Cookie:x", "a", "https://a/%0d%0aSet-Cookie:x");
        expect_get("https://b%u", "/..//c", "a", "https://b/..//c");
}

static void test_forms(void **state) {
        expect_get(SAME, "http://b/x?y", "a", "https://b/x?y");
        expect_get(SAME, "HTTP://B:80?y/z", "a", "https://b/?y/z");
        expect_get(SAME, "http://b", "a", "https://b/");
        expect(SAME, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "https://a", true);
        expect(SAME, "HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n", "https://a/x", false);
        expect(SAME, "GET /x HTTP/1.0\r\nHost: a\r\n\r\n", "https://a/x", true);
        expect("https://b%u", "GET /x HTTP/1.0\r\n\r\n", "https://b/x", true);

        /* A client that waits for 100 gets the final status, and need not send its body (RFC 9110 10.1.1). */
        expect(SAME, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n", "https://a/x", true);
}

static void test_refusals(void **state) {
        _cleanup_free_ char *path = malloc(20000), *head = NULL, *fields = malloc(4096);
        bool was_refused = false;
        unsigned status;

        /* A request of HTTP/1.0 without Host. */
        assert_int_equal(answer(SAME, "GET /x HTTP/1.0\r\n\r\n", "", &status), FDPASS_FLUSHER_REFUSE);
        assert_int_equal(status, 400);
        assert_int_equal(answer(SAME, "GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n", "", &status), FDPASS_FLUSHER_REFUSE);
        assert_int_equal(status, 417);

        /* Each length, around the one that does not fit. */
        memset(fields, 'x', 4096);
        memcpy(fields, "X: ", 3);
        memcpy(fields + 4093, "\r\n", 3);
        for (size_t n = 3700; n < 4100; n++) {
                int verdict;

                memset(path, 'a', n);
                path[n] = '\0';
                free(head);
                assert_true(asprintf(&head, "GET /%s HTTP/1.1\r\nHost: a\r\n\r\n", path) > 0);
                verdict = answer(SAME, head, fields, &status);
                assert_true(verdict == FDPASS_FLUSHER_DONE || (verdict == FDPASS_FLUSHER_REFUSE && status == 414));
                assert_true(verdict == FDPASS_FLUSHER_REFUSE || strstr(bytes, "\r\n\r\nThis is at another address.\n"));
                assert_false(was_refused && verdict == FDPASS_FLUSHER_DONE);
                was_refused = verdict == FDPASS_FLUSHER_REFUSE;
                assert_int_equal(was_refused ? n < 3800 : n > 4000, 0);
        }

        memset(path, 0xff, 19999);
        path[19999] = '\0';
        free(head);
        assert_true(asprintf(&head, "GET /%s HTTP/1.1\r\nHost: a\r\n\r\n", path) > 0);
        assert_int_equal(answer(SAME, head, "", &status), FDPASS_FLUSHER_REFUSE);
        assert_int_equal(status, 414);
}

static void test_templates(void **state) {
        static const char *const bad[] = {
                "", "%h%u", "%u", "/x", "//h/x", "ftp://a/", "https:/a", "https://", "https://%u", "https:///x", "https:// a/",
                "https://%h.example%u", "https://www.%h%u", "https://a@%h%u", "https://%h:0%u", "https://%h:99999%u", "https://%h:x%u",
                "https://%h:%u", "https://%h80%u", "https://%h%h%u", "https://%h%u%u", "https://%h%u/x", "https://%h/%u",
                "https://%h/?x=%u", "https://%h/#%u", "https://%h/%h", "https://a/%zz", "https://a/%2", "https://a/x y", "https://a/\"",
                "https://a/\r\nX: y", "https://a/\xc3\xa9", "https://a/\\b", "https://user:x@a/", "https://a:b:c/", "https://[::1/",
                "https://a\r\n/", "https://%h?%u", "HTTPS://%h%u", "https://a,b/",
        };
        char *longest = malloc(REDIRECT_TARGET_MAX + 2);
        RedirectTarget target;

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                const char *wrong = redirect_target_parse(bad[i], &target);

                if (!wrong)
                        print_error("%s is taken\n", bad[i]);
                assert_non_null(wrong);
                assert_int_not_equal(flusher_redirect.check(bad[i]), 0);
        }

        memset(longest, 'a', REDIRECT_TARGET_MAX + 1);
        memcpy(longest, "https://b/", 10);
        longest[REDIRECT_TARGET_MAX + 1] = '\0';
        assert_non_null(redirect_target_parse(longest, &target));
        longest[REDIRECT_TARGET_MAX] = '\0';
        assert_null(redirect_target_parse(longest, &target));
        free(longest);
}

TEST_MAIN(TEST(test_addresses), TEST(test_hostile), TEST(test_forms), TEST(test_refusals), TEST(test_templates))
