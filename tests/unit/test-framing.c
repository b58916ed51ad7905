/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The ends of requests and responses, however their bytes are split. */

#include "test.h"

#include "workers/framing.h"

#define OK "HTTP/1.1 200 OK\r\n"

typedef struct Response {
        const char *bytes;
        size_t end; /* 0: can't be followed; otherwise the length of the message */
        bool is_head;
} Response;

#define WHOLE(s) s, sizeof(s) - 1

static const Response responses[] = {
        { WHOLE(OK "Content-Length: 5\r\n\r\nhello"), false },
        { WHOLE(OK "content-length:5\r\nX: y\r\n\r\nhello"), false },
        { WHOLE(OK "Content-Length: 0\r\n\r\n"), false },
        { WHOLE(OK "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n"), false },
        { WHOLE(OK "transfer-encoding: Chunked\r\n\r\n0\r\nTrailer: x\r\n\r\n"), false },
        { WHOLE("HTTP/1.1 204 No Content\r\n\r\n"), false },
        { WHOLE("HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n"), false },
        { WHOLE("HTTP/1.1 100 Continue\r\n\r\n" OK "Content-Length: 1\r\n\r\nx"), false },
        { WHOLE("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 N\r\n\r\n"), false },
        { WHOLE(OK "Content-Length: 700\r\n\r\n"), true },
        { WHOLE(OK "Transfer-Encoding: chunked\r\n\r\n"), true },
        { WHOLE(OK "Set-Cookie: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n"
                "Content-Length: 2\r\n\r\nab"), false },
        { WHOLE(OK "Connection: keep-alive\r\nContent-Length: 2\r\n\r\nab"), false },
        /* The end of the connection is the end of the message, or the server closes. */
        { OK "\r\n", 0, false },
        { OK "Connection: close\r\nContent-Length: 2\r\n\r\nab", 0, false },
        { OK "Connection: foo, CLOSE\r\nContent-Length: 2\r\n\r\nab", 0, false },
        { "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nab", 0, false },
        { "HTTP/1.1 101 Switching Protocols\r\n\r\n", 0, false },
        /* Two readings, or none. */
        { OK "Content-Length: 2\r\nContent-Length: 2\r\n\r\nab", 0, false },
        { OK "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0, false },
        { OK "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n", 0, false },
        { OK "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 0, false },
        { OK "Content-Length: +2\r\n\r\nab", 0, false },
        { OK "Content-Length: 2, 2\r\n\r\nab", 0, false },
        { OK "Content-Length: 99999999999999999999\r\n\r\nab", 0, false },
        { OK "Content-Length:                                                                               2\r\n\r\nab", 0, false },
        { OK "X: y\r\n Content-Length: 2\r\n\r\nab", 0, false },
        { OK "Content-Length: 2\n\r\nab", 0, false },
        { OK "Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\n\r\n", 0, false },
        { OK "Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n", 0, false },
        { OK "Transfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n", 0, false },
        { OK "Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n", 0, false },
        { OK "Transfer-Encoding: chunked\r\n\r\n\r\n", 0, false },
        { "hello\r\n", 0, false },
        { "\r\n", 0, false },
};

/* Feeds @s in two parts, of which the first has @k bytes. Returns the length of the message, or 0 for an error. */
static size_t feed(Framing *f, const char *s, size_t k, bool is_head) {
        size_t n = strlen(s), parts[] = { k, n - k }, length = 0;
        const uint8_t *p = (const uint8_t *) s;

        for (size_t i = 0; i < ELEMENTSOF(parts); i++) {
                size_t left = parts[i];
                int r = framing_feed(f, &p, &left, is_head);

                length += parts[i] - left;
                if (r < 0)
                        return 0;
                if (r == FRAMING_END) {
                        assert_int_equal(f->state, FRAMING_START);
                        assert_int_equal(left, 0);
                        if (i == 0)
                                assert_int_equal(parts[1], 0);
                        return length;
                }
        }

        return SIZE_MAX;
}

static void test_responses(void **state) {
        for (size_t i = 0; i < ELEMENTSOF(responses); i++) {
                const Response *c = &responses[i];

                for (size_t k = 0; k <= strlen(c->bytes); k++) {
                        Framing f = {};
                        size_t n = feed(&f, c->bytes, k, c->is_head);

                        if (n != c->end)
                                fail_msg("%zu of %s at %zu: %zu", i, c->bytes, k, n);
                        if (c->end == 0)
                                assert_int_equal(f.state, FRAMING_LOST);
                }
        }
}

/* Once lost, it stays lost. */
static void test_lost(void **state) {
        const uint8_t *p = (const uint8_t *) OK "Content-Length: 0\r\n\r\n";
        Framing f = {};
        size_t n = 3;

        f.state = FRAMING_LOST;
        assert_int_equal(framing_feed(&f, &p, &n, false), -EBADMSG);
        assert_int_equal(framing_skip(&f, 0), -EBADMSG);
}

static void test_requests(void **state) {
        static const struct {
                uint64_t length;
                bool is_chunked;
                const char *body;
                bool is_good;
        } cases[] = {
                { 0, false, "", true },
                { 5, false, "hello", true },
                { 30, false, "GET / HTTP/1.1\r\nHost: a\r\n\r\nabc", true },
                { 0, true, "0\r\n\r\n", true },
                { 0, true, "3\r\nabc\r\n0\r\nX: y\r\n\r\n", true },
                { 0, true, "g\r\n", false },
                { 0, true, "3\r\nabcd\r\n", false },
                { 0, true, "3 \r\nabc\r\n", false },
                { 0, true, "0x3\r\nabc\r\n", false },
                { 0, true, "1000000000000000000\r\nabc\r\n", false },
        };
        static const char head[] = "PUT / HTTP/1.1\r\nHost: a\r\n\r\n";

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char bytes[256];

                (void) snprintf(bytes, sizeof(bytes), "%s%s", head, cases[i].body);
                for (size_t k = 0; k <= strlen(bytes); k++) {
                        Framing f = {};

                        framing_begin_request(&f, strlen(head), cases[i].length, cases[i].is_chunked);
                        if (cases[i].is_good)
                                assert_in_range(framing_min_left(&f), 1, strlen(bytes));
                        assert_int_equal(feed(&f, bytes, k, false), cases[i].is_good ? strlen(bytes) : 0);
                }
        }
}

/* Two messages in one run of bytes: it stops between them. */
static void test_two(void **state) {
        static const char bytes[] = OK "Content-Length: 1\r\n\r\nx" OK "Content-Length: 0\r\n\r\n";
        const uint8_t *p = (const uint8_t *) bytes;
        size_t n = strlen(bytes);
        Framing f = {};

        assert_int_equal(framing_feed(&f, &p, &n, false), FRAMING_END);
        assert_int_equal(n, strlen(OK "Content-Length: 0\r\n\r\n"));
        assert_int_equal(framing_feed(&f, &p, &n, false), FRAMING_END);
        assert_int_equal(n, 0);
}

/* sendfile(2) sends bodies only. */
static void test_skip(void **state) {
        static const char bytes[] = OK "Content-Length: 10\r\n\r\nxy";
        const uint8_t *p = (const uint8_t *) bytes;
        size_t n = strlen(bytes);
        Framing f = {};

        assert_int_equal(framing_feed(&f, &p, &n, false), FRAMING_MORE);
        assert_int_equal(framing_skip(&f, 7), FRAMING_MORE);
        assert_int_equal(framing_skip(&f, 1), FRAMING_END);
        assert_int_equal(framing_skip(&f, 1), -EBADMSG);
}

TEST_MAIN(TEST(test_responses),
          TEST(test_lost),
          TEST(test_requests),
          TEST(test_two),
          TEST(test_skip))
