/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The request of a client, as the log has it. */

#include "test.h"

#include "broker/state/client-request.h"

static ClientRequest *request_of(const char *head) {
        ClientRequest *r;
        Probe probe;

        assert_int_equal(probe_client((const uint8_t *) head, strlen(head), 16384, &probe), PROBE_MATCH);
        assert_int_equal(client_request_new(&probe, &r), 0);
        return r;
}

static void expect(const char *head, const char *method, const char *host, const char *path, const char *text) {
        _cleanup_free_ ClientRequest *r = request_of(head);
        char got[REQUEST_TEXT_MAX];

        assert_string_equal(r->method, method);
        assert_string_equal(r->host, host);
        assert_string_equal(r->path, path);
        assert_string_equal(client_request_to_text(r, got, sizeof(got)), text);
}

static void test_requests(void **state) {
        expect("GET /a/b?secret=x HTTP/1.1\r\nHost: Example.org:80\r\n\r\n", "GET", "example.org", "/a/b", "GET example.org/a/b");
        expect("POST http://b/x HTTP/1.1\r\nHost: a\r\n\r\n", "POST", "b", "/x", "POST b/x");
        expect("OPTIONS * HTTP/1.0\r\n\r\n", "OPTIONS", "", "*", "OPTIONS *");
        expect("GET /\xc3\xa9\"\\ HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "a", "/\\xc3\\xa9\\x22\\x5c", "GET a/\\xc3\\xa9\\x22\\x5c");
}

/* The longest of all: what does not fit is cut. */
static void test_longest(void **state) {
        char head[4096] = "", method[REQUEST_METHOD_MAX + 2], path[1000], host[300], text[REQUEST_TEXT_MAX];
        _cleanup_free_ ClientRequest *r = NULL;

        memset(method, 'M', sizeof(method) - 1);
        method[sizeof(method) - 1] = '\0';
        memset(path, 0xff, sizeof(path) - 1);
        path[sizeof(path) - 1] = '\0';
        for (size_t i = 0; i < 255; i++)
                host[i] = i % 2 ? '.' : 'h';
        host[255] = '\0';
        (void) snprintf(head, sizeof(head), "%s /%s HTTP/1.1\r\nHost: %s\r\n\r\n", method, path, host);

        r = request_of(head);
        assert_int_equal(strlen(r->host), 255);
        assert_int_equal(strlen(r->path), 1 + 4 * (REQUEST_PATH_MAX - 1) + strlen("…"));
        assert_string_equal(r->path + strlen(r->path) - strlen("\\xff…"), "\\xff…");
        assert_int_equal(strlen(r->method), REQUEST_METHOD_MAX + strlen("…"));
        assert_int_equal(strlen(client_request_to_text(r, text, sizeof(text))),
                         strlen(r->method) + 1 + strlen(r->host) + strlen(r->path));
}

static void test_others(void **state) {
        static const char ssh[] = "SSH-2.0-x\r\n";

        assert_null(request_of(ssh));
        assert_null(request_of("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
}

TEST_MAIN(TEST(test_requests), TEST(test_longest), TEST(test_others))
