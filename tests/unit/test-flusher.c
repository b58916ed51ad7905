/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Flushers by themselves: the head that they write, the two that are shipped, and files that are none. */

#include "test.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>

#include "flusher/flusher.h"
#include "probe/http.h"

#define DATE "Sun, 06 Nov 1994 08:49:37 GMT"
#define MINUTE_USEC (60 * UINT64_C(1000000))

static char bytes[FDPASS_FLUSHER_OUTPUT_MAX];

static struct fdpass_flusher_text text_of(Slice s) {
        return (struct fdpass_flusher_text){ (const char *) s.p, s.n };
}

static struct fdpass_flusher_request request_of(const char *head) {
        struct fdpass_flusher_request r = {
                .size = sizeof(r),
                .argument = "",
                .route = "a.socket",
                .listener = "public",
                .status = 200,
                .reason = "OK",
                .response_fields = "Server: fdpass\r\n",
                .date = DATE,
                .now_usec = 1,
                .header = flusher_header,
                .head = flusher_head,
        };
        HttpFacts http;

        assert_int_equal(probe_http1((const uint8_t *) head, strlen(head), 16384, &http), PROBE_MATCH);
        r.method = text_of(http.method);
        r.target = text_of(http.target);
        r.fields = text_of(http.fields);
        r.minor = http.minor;
        return r;
}

static struct fdpass_flusher_output output_of(size_t capacity) {
        return (struct fdpass_flusher_output){ .size = sizeof(struct fdpass_flusher_output), .bytes = bytes, .capacity = capacity };
}

/* The response of @f to this head. */
static void expect(const struct fdpass_flusher *f, const char *head, int verdict, unsigned status, const char *text) {
        struct fdpass_flusher_request request = request_of(head);
        struct fdpass_flusher_output output = output_of(sizeof(bytes));

        assert_int_equal(f->flush(&request, &output), verdict);
        assert_int_equal(output.status, status);
        assert_true(output.len < sizeof(bytes));
        bytes[output.len] = '\0';
        assert_string_equal(bytes, text);
}

#define OK "HTTP/1.1 200 OK\r\nDate: " DATE "\r\nServer: fdpass\r\nConnection: close\r\n\r\n"
#define CONTINUE "HTTP/1.1 100 Continue\r\n\r\n"

static void test_flush(void **state) {
        const struct fdpass_flusher *f = &flusher_flush;

        expect(f, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", FDPASS_FLUSHER_GO, 200, OK);
        expect(f, "GET / HTTP/1.0\r\n\r\n", FDPASS_FLUSHER_GO, 200, OK);
        expect(f, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", FDPASS_FLUSHER_GO, 200, OK);
        expect(f, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", FDPASS_FLUSHER_GO, 200, OK);

        /* Nothing follows the head of an answer to HEAD, in no version. */
        expect(f, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", FDPASS_FLUSHER_DONE, 200, OK);
        expect(f, "HEAD / HTTP/1.0\r\n\r\n", FDPASS_FLUSHER_DONE, 200, OK);
}

/* RFC 9110 10.1.1 */
static void test_expect(void **state) {
        const struct fdpass_flusher *f = &flusher_flush;

        expect(f, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", FDPASS_FLUSHER_GO, 200,
               CONTINUE OK);
        expect(f, "POST / HTTP/1.1\r\nHost: a\r\nexpect: 100-Continue\r\nTransfer-Encoding: chunked\r\n\r\n",
               FDPASS_FLUSHER_GO, 200, CONTINUE OK);
        expect(f, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n", FDPASS_FLUSHER_GO, 200, OK);
        expect(f, "GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n", FDPASS_FLUSHER_GO, 200, OK);
        expect(f, "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", FDPASS_FLUSHER_GO, 200, OK);
        expect(f, "POST / HTTP/1.1\r\nHost: a\r\nExpect: a-miracle\r\nContent-Length: 5\r\n\r\n", FDPASS_FLUSHER_REFUSE, 417,
               "");
}

/* The unit's status and lines; a status that is no success is an answer to Expect by itself. */
static void test_response(void **state) {
        struct fdpass_flusher_request request =
                request_of("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
        struct fdpass_flusher_output output = output_of(sizeof(bytes));

        request.status = 307;
        request.reason = "";
        request.response_fields = "Server: mine\r\nLocation: /x\r\n";
        assert_int_equal(request.head(&request, &output, "A: b\r\nC: d\r\n"), FDPASS_FLUSHER_GO);
        assert_int_equal(output.status, 307);
        bytes[output.len] = '\0';
        assert_string_equal(bytes, "HTTP/1.1 307 \r\nDate: " DATE "\r\nServer: mine\r\nLocation: /x\r\nA: b\r\nC: d\r\n"
                                   "Connection: close\r\n\r\n");
}

/* All of it or nothing, for every size that is too small. */
static void test_no_room(void **state) {
        struct fdpass_flusher_request request = request_of("GET / HTTP/1.1\r\nHost: a\r\n\r\n");

        for (size_t n = 0; n < strlen(OK); n++) {
                struct fdpass_flusher_output output = output_of(n);

                assert_true(request.head(&request, &output, NULL) < 0);
                assert_int_equal(output.len, 0);
        }
}

static void test_header(void **state) {
        struct fdpass_flusher_request request =
                request_of("GET / HTTP/1.1\r\nHost: a\r\nX-A:  one \r\nx-a: two\r\nX-Ab: three\r\nX-C:\r\n\r\n");
        struct fdpass_flusher_text value;

        assert_int_equal(request.header(&request, "x-A", 0, &value), 1);
        assert_int_equal(value.len, 3);
        assert_memory_equal(value.bytes, "one", 3);
        assert_int_equal(request.header(&request, "x-A", 1, &value), 1);
        assert_memory_equal(value.bytes, "two", 3);
        assert_int_equal(request.header(&request, "x-A", 2, &value), 0);
        assert_int_equal(request.header(&request, "X-C", 0, &value), 1);
        assert_int_equal(value.len, 0);
        assert_int_equal(request.header(&request, "X", 0, &value), 0);
}

/* Loads a flusher from the build: one that is installed, or an example (BAD_FLUSHERS_DIR). */
static const struct fdpass_flusher *load(const char *directory, const char *name, void **handle) {
        const struct fdpass_flusher *f = NULL;
        const char *why;

        assert_int_equal(flusher_load(directory, name, &f, handle, &why), 0);
        assert_string_equal(f->name, name);
        return f;
}

static void test_event_stream(void **state) {
        struct fdpass_flusher_request request = request_of("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        struct fdpass_flusher_output output = output_of(sizeof(bytes));
        const struct fdpass_flusher *f;
        void *handle;

        f = load(FLUSHERS_DIR, "event-stream", &handle);
        expect(f, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", FDPASS_FLUSHER_GO, 200,
               "HTTP/1.1 200 OK\r\nDate: " DATE "\r\nServer: fdpass\r\nContent-Type: text/event-stream\r\n"
               "Cache-Control: no-store\r\nConnection: close\r\n\r\nretry: 3000\n\n");
        expect(f, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", FDPASS_FLUSHER_DONE, 200,
               "HTTP/1.1 200 OK\r\nDate: " DATE "\r\nServer: fdpass\r\nContent-Type: text/event-stream\r\n"
               "Cache-Control: no-store\r\nConnection: close\r\n\r\n");

        request.argument = "15";
        assert_int_equal(f->flush(&request, &output), FDPASS_FLUSHER_GO);
        assert_memory_equal(bytes + output.len - 14, "retry: 15000\n\n", 14);

        assert_int_equal(f->check(""), 0);
        assert_int_equal(f->check("86400"), 0);
        assert_int_not_equal(f->check("86401"), 0);
        assert_int_not_equal(f->check("99999999999999999999999"), 0);
        assert_int_not_equal(f->check("-1"), 0);
        assert_int_not_equal(f->check("3 s"), 0);
        flusher_unload(handle);
}

/* One more from @address at @now; returns the verdict. */
static int come(const struct fdpass_flusher *f, const char *address, uint64_t now, const char *argument) {
        struct fdpass_flusher_request request = request_of("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        struct fdpass_flusher_output output = output_of(sizeof(bytes));
        union {
                struct sockaddr sa;
                struct sockaddr_in in;
                struct sockaddr_in6 in6;
        } peer = {};
        int r;

        if (inet_pton(AF_INET, address, &peer.in.sin_addr) == 1)
                peer.in.sin_family = AF_INET;
        else if (inet_pton(AF_INET6, address, &peer.in6.sin6_addr) == 1)
                peer.in6.sin6_family = AF_INET6;
        else
                peer.sa.sa_family = AF_UNIX;

        request.peer = &peer.sa;
        request.peer_len = sizeof(peer);
        request.argument = argument;
        request.now_usec = now;
        r = f->flush(&request, &output);
        assert_int_equal(output.status, r == FDPASS_FLUSHER_REFUSE ? 429 : 200);
        return r;
}

static void test_limit(void **state) {
        const struct fdpass_flusher *f;
        void *handle;

        f = load(BAD_FLUSHERS_DIR, "limit", &handle);

        for (unsigned i = 0; i < 3; i++)
                assert_int_equal(come(f, "192.0.2.1", 1000, "3"), FDPASS_FLUSHER_GO);
        assert_int_equal(come(f, "192.0.2.1", 1001, "3"), FDPASS_FLUSHER_REFUSE);
        assert_int_equal(come(f, "::ffff:192.0.2.1", 1001, "3"), FDPASS_FLUSHER_REFUSE);
        assert_int_equal(come(f, "64:ff9b::192.0.2.1", 1001, "3"), FDPASS_FLUSHER_REFUSE);
        assert_int_equal(come(f, "64:ff9b::192.0.2.2", 1001, "3"), FDPASS_FLUSHER_GO);
        assert_int_equal(come(f, "192.0.2.1", 1000 + MINUTE_USEC, "3"), FDPASS_FLUSHER_GO);

        /* A /64 is one place, and what is no IP address another. */
        assert_int_equal(come(f, "2001:db8:1:2::1", 5, "1"), FDPASS_FLUSHER_GO);
        assert_int_equal(come(f, "2001:db8:1:2:3::9", 5, "1"), FDPASS_FLUSHER_REFUSE);
        assert_int_equal(come(f, "2001:db8:1:3::1", 5, "1"), FDPASS_FLUSHER_GO);
        assert_int_equal(come(f, "unix", 5, "1"), FDPASS_FLUSHER_GO);
        assert_int_equal(come(f, "unix", 5, "1"), FDPASS_FLUSHER_REFUSE);

        for (unsigned i = 0; i < 60; i++)
                assert_int_equal(come(f, "192.0.2.9", 1000, ""), FDPASS_FLUSHER_GO);
        assert_int_equal(come(f, "192.0.2.9", 1000, ""), FDPASS_FLUSHER_REFUSE);

        assert_int_equal(f->check("1000000"), 0);
        assert_int_not_equal(f->check("1000001"), 0);
        assert_int_not_equal(f->check("x"), 0);
        flusher_unload(handle);
}

/* The place that these 8 bytes have by FNV-1a, which clients can work out. */
static uint32_t fnv_place(const uint8_t key[static 8]) {
        uint32_t hash = 2166136261U;

        for (size_t i = 0; i < 8; i++)
                hash = (hash ^ key[i]) * 16777619U;

        return hash % 4096;
}

/* The i-th network of the same length. */
static const char *network_of(unsigned i, char text[static 64]) {
        (void) snprintf(text, 64, "2001:db8:%x:%x::1", i >> 16, i & 0xffff);
        return text;
}

/* Two networks that fall into one place of a table without a secret are limited, also where they take turns. */
static void test_limit_in_turn(void **state) {
        const uint32_t place = fnv_place((const uint8_t[]){ 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0 });
        const struct fdpass_flusher *f;
        unsigned other = 1;
        char text[64];
        void *handle;

        while (fnv_place((const uint8_t[]){ 0x20, 0x01, 0x0d, 0xb8, 0, 0, (uint8_t) (other >> 8), (uint8_t) other }) != place)
                other++;
        assert_true(other <= UINT16_MAX);

        f = load(BAD_FLUSHERS_DIR, "limit", &handle);
        for (unsigned i = 0; i < 3; i++) {
                assert_int_equal(come(f, network_of(0, text), 1000, "3"), FDPASS_FLUSHER_GO);
                assert_int_equal(come(f, network_of(other, text), 1000, "3"), FDPASS_FLUSHER_GO);
        }
        assert_int_equal(come(f, network_of(0, text), 1000, "3"), FDPASS_FLUSHER_REFUSE);
        assert_int_equal(come(f, network_of(other, text), 1000, "3"), FDPASS_FLUSHER_REFUSE);
        flusher_unload(handle);
}

/* Networks without end are limited together when the table has no place left, and have their own counts before. */
static void test_limit_full(void **state) {
        enum { N = 200000, N_FEW = 200 };
        const struct fdpass_flusher *f;
        unsigned n_refused = 0;
        char text[64];
        void *handle;

        f = load(BAD_FLUSHERS_DIR, "limit", &handle);
        for (unsigned i = 0; i < N_FEW; i++)
                assert_int_equal(come(f, network_of(i, text), 1000, "1"), FDPASS_FLUSHER_GO);

        for (unsigned i = 0; i < N; i++)
                n_refused += come(f, network_of(i, text), 1000 + MINUTE_USEC, "3") == FDPASS_FLUSHER_REFUSE;
        assert_in_range(n_refused, N / 2, N - 4096);

        /* The next minute is a new one. */
        assert_int_equal(come(f, network_of(N, text), 1000 + 2 * MINUTE_USEC, "3"), FDPASS_FLUSHER_GO);
        flusher_unload(handle);
}

static void test_wrong(void **state) {
        const char *directory = BAD_FLUSHERS_DIR, *why = NULL;
        const struct fdpass_flusher *f = NULL;
        void *handle = NULL;

        assert_int_equal(flusher_load(directory, "nobody", &f, &handle, &why), FLUSHER_MISSING);
        assert_int_equal(flusher_load(directory, "../bad/bad-name", &f, &handle, &why), FLUSHER_MISSING);
        assert_int_equal(flusher_load(directory, "bad-version", &f, &handle, &why), FLUSHER_VERSION);
        assert_int_equal(flusher_load(directory, "bad-name", &f, &handle, &why), FLUSHER_FOREIGN);
        assert_int_equal(flusher_load(directory, "bad-symbol", &f, &handle, &why), FLUSHER_FOREIGN);
        assert_null(handle);
}

/* A file that is no shared object is reported with the reason. */
static void test_no_object(void **state) {
        const struct fdpass_flusher *f = NULL;
        char directory[] = "/tmp/test-flusher-XXXXXX", path[64];
        const char *why = NULL;
        void *handle = NULL;
        int fd;

        assert_non_null(mkdtemp(directory));
        (void) snprintf(path, sizeof(path), "%s/text.so", directory);
        fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        assert_int_equal(write(fd, "no object", 9), 9);
        close(fd);

        assert_int_equal(flusher_load(directory, "text", &f, &handle, &why), FLUSHER_UNUSABLE);
        assert_non_null(strstr(why, "text.so"));

        unlink(path);
        rmdir(directory);
}

static void test_names(void **state) {
        static const char *const good[] = { "a", "event-stream", "A_9" };
        static const char *const bad[] = {
                "", ".", "..", "a/b", "/a", "a.so", "a b", "ä", "a\n",
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        };

        for (size_t i = 0; i < ELEMENTSOF(good); i++)
                assert_true(flusher_name_is_valid(good[i]));
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_false(flusher_name_is_valid(bad[i]));
}

TEST_MAIN(TEST(test_flush),
          TEST(test_expect),
          TEST(test_response),
          TEST(test_no_room),
          TEST(test_header),
          TEST(test_event_stream),
          TEST(test_limit),
          TEST(test_limit_in_turn),
          TEST(test_limit_full),
          TEST(test_wrong),
          TEST(test_no_object),
          TEST(test_names))
