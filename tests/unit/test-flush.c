/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The start of the response before the handoff: what the client gets, and what the worker gets. */

#include "flush-fixture.h"

/* Only the head goes: body and further requests are the worker's, in one segment or in two. */
static void test_stream(void **state) {
        int a = listen_at("a", 8), fd, client;

        USE({ .unit = "a.socket", .worker = "a", .flusher = &flusher_flush });

        fd = dial("public");
        say(fd, HEAD "HELLO" "GET / HTTP/1.1\r\n");
        serve(take(a), "HELLOGET / HTTP/1.1\r\n", "body");
        expect_empty_broker();
        expect_served(fd, "body");

        fd = dial("public");
        say(fd, HEAD);
        client = take(a);
        expect_waiting(client, "");
        say(fd, "HELLO");
        WAIT_FOR(has_event(client, POLLIN));
        serve(client, "HELLO", "");
        expect_empty_broker();
        expect_served(fd, "");
        assert_int_equal(n_flushed(), 2);
        assert_int_equal(n_flush_again(), 0);
        fd_close(a);
}

/* The consumed head is in the message, and that the response has begun. */
static void test_message(void **state) {
        int a = listen_type_at("a", SOCK_SEQPACKET, 8), fd;
        Message m;

        USE({ .unit = "a.socket", .worker = "a", .transport = TRANSPORT_SEQPACKET, .flusher = &flusher_flush });

        fd = dial("public");
        say(fd, "\r\n" HEAD "HELLO");
        serve(take_with_message(a, &m), "HELLO", "body");
        assert_true(slice_equal(m.consumed, SLICE_LITERAL("\r\n" HEAD)));
        assert_int_equal(m.status, 200);
        assert_int_equal(m.head_length, strlen("\r\n" HEAD));
        assert_true(slice_equal(m.authority, SLICE_LITERAL("example.org")));
        expect_empty_broker();
        expect_served(fd, "body");
        fd_close(a);
}

/* HEAD is answered here: the worker sees a connection without a message, as when the broker ends. */
static void test_head(void **state) {
        int a = listen_at("a", 8), fd, conn, client;

        USE({ .unit = "a.socket", .worker = "a", .flusher = &flusher_flush });

        fd = dial("public");
        say(fd, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
        conn = accept_one(a);
        WAIT_FOR(has_event(conn, POLLIN));
        assert_int_equal(handoff_receive(conn, &client), HANDOFF_CLOSED);
        fd_close(conn);

        expect_served(fd, "");
        expect_empty_broker();
        assert_int_equal(n_flush_whole(), 1);
        assert_int_equal(n_taken(), 0);
        fd_close(a);
}

/* No client gets a 200 before a worker has room for it. */
static void test_nobody_there(void **state) {
        int fd, worker;
        char got[65536];

        USE({ .unit = "a.socket", .worker = "a", .flusher = &flusher_flush });

        fd = dial("public");
        say(fd, HEAD "HELLO");
        assert_true(read_all(fd, got));
        assert_response(got, "HTTP/1.1 503 Service Unavailable\r\n", "The service can't be reached at the moment.\n");
        fd_close(fd);

        /* A full backlog likewise: one is in it, and the other waits without a word until it is served. */
        worker = listen_at("b", 0);
        USE({ .unit = "b.socket", .worker = "b", .flusher = &flusher_flush });
        fd = dial("public");
        say(fd, HEAD);
        WAIT_FOR(has_event(worker, POLLIN));
        assert_true(has_event(fd, POLLIN));

        int other = dial("public");
        say(other, HEAD);
        WAIT_FOR(n_accepted() == 3);
        assert_false(has_event(other, POLLIN));

        serve(take(worker), "", "one");
        serve(take(worker), "", "two");
        expect_served(fd, "one");
        expect_served(other, "two");
        fd_close(worker);
}

/* The worker dies with the message unread: the next one gets the client, who is not flushed again. */
static void test_again(void **state) {
        int a = listen_at("a", 8), fd, conn;

        USE({ .unit = "a.socket", .worker = "a", .flusher = &flusher_flush });

        fd = dial("public");
        say(fd, HEAD "HELLO");
        conn = accept_one(a);
        WAIT_FOR(has_event(conn, POLLIN));
        fd_close(conn);

        serve(take(a), "HELLO", "body");
        expect_served(fd, "body");
        assert_int_equal(n_flushed(), 1);
        assert_int_equal(n_flush_again(), 1);
        fd_close(a);
}

/* Receipt=ack: what the broker itself has read and written does not make a client touched, anything else does. */
static void test_untouched(void **state) {
        int a = listen_at("a", 8), fd, conn, client;

        add_tcp("tcp");
        USE({ .unit = "a.socket", .worker = "a", .flusher = &flusher_flush, .receipt = RECEIPT_BY_ACK });

        fd = dial_request(HEAD "HELLO");
        conn = accept_one(a);
        fd_close(receive_client(conn));
        fd_close(conn);

        conn = accept_one(a);
        client = receive_client(conn);
        handoff_answer(conn, FDPASS_ANSWER_TAKEN);
        fd_close(conn);
        serve(client, "HELLO", "body");
        expect_served(fd, "body");
        assert_int_equal(n_flush_again(), 1);

        /* After one byte from the worker no other worker gets it. */
        fd = dial_request(HEAD);
        conn = accept_one(a);
        client = receive_client(conn);
        say(client, "b");
        fd_close(client);
        fd_close(conn);
        expect_served(fd, "b");
        assert_int_equal(n_flush_again(), 1);
        assert_int_equal(n_taken(), 2);
        expect_empty_broker();
        fd_close(a);
}

/* A response that has begun can't become another one. It is reset, so that the client sees that it is not complete. */
static void test_lost(void **state) {
        int a = listen_at("a", 8), fd, conn;
        char got[65536], path[64];

        add_tcp("tcp");
        USE({ .unit = "a.socket", .worker = "a", .flusher = &flusher_flush });

        fd = dial_request(HEAD);
        conn = accept_one(a);
        path_of("a", path);
        assert_int_equal(unlink(path), 0);
        fd_close(a);
        WAIT_FOR(has_event(conn, POLLIN));
        fd_close(conn); /* unread */

        assert_false(read_all(fd, got)); /* a reset, that is */
        assert_null(strstr(got, "503"));
        fd_close(fd);
        expect_empty_broker();
        assert_int_equal(n_flush_lost(), 1);
        assert_int_equal(n_refused(REFUSAL_WORKER_GONE), 1);
}

/* If no worker comes, a response that has begun is reset, and no second answer follows. */
static void test_no_worker_comes(void **state) {
        int a = listen_at("a", 8), client;
        char got[65536];

        add_tcp("tcp");
        USE({ .unit = "a.socket", .worker = "a", .flusher = &flusher_flush, .queue_timeout = 200 * USEC_PER_MSEC });
        client = dial_request(HEAD "HELLO");
        assert_false(read_all(client, got));
        assert_non_null(strstr(got, "HTTP/1.1 200 "));
        assert_null(strstr(got, "504"));
        WAIT_FOR(n_refused(REFUSAL_TIMEOUT) == 1);
        assert_int_equal(n_flush_lost(), 1);

        fd_close(client);
        fd_close(a);
}

static int too_many(const struct fdpass_flusher_request *request, struct fdpass_flusher_output *output) {
        output->status = 429;
        return FDPASS_FLUSHER_REFUSE;
}

/* RFC 9110 9.3.2: a refusal of HEAD has the head alone. */
static void test_refused_head(void **state) {
        const struct fdpass_flusher flusher = { FDPASS_FLUSHER_ABI, sizeof(flusher), "test", too_many, NULL };
        int a = listen_at("a", 8), fd;
        char got[65536];

        add_tcp("tcp");
        USE({ .unit = "a.socket", .worker = "a", .flusher = &flusher });
        fd = dial_request("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_true(read_all(fd, got));
        assert_response(got, "HTTP/1.1 429 Too Many Requests\r\n", "");
        assert_non_null(strstr(got, "\r\nContent-Length: "));
        fd_close(fd);
        expect_empty_broker();
        fd_close(a);
}

static int overrun(const struct fdpass_flusher_request *request, struct fdpass_flusher_output *output) {
        output->len = output->capacity + 1;
        return FDPASS_FLUSHER_GO;
}

static int odd(const struct fdpass_flusher_request *request, struct fdpass_flusher_output *output) {
        (void) request->head(request, output, NULL);
        return 77;
}

/* Sees everything that it should. */
static int look(const struct fdpass_flusher_request *request, struct fdpass_flusher_output *output) {
        assert_memory_equal(request->method.bytes, "POST", request->method.len);
        assert_memory_equal(request->target.bytes, "/x", request->target.len);
        assert_memory_equal(request->host.bytes, "example.org", request->host.len);
        assert_memory_equal(request->fields.bytes, "Host: example.org\r\nContent-Length: 5\r\n", request->fields.len);
        assert_int_equal(request->minor, 1);
        assert_string_equal(request->argument, "");
        assert_string_equal(request->route, "a.socket");
        assert_string_equal(request->listener, "tcp");
        assert_int_equal(request->peer->sa_family, AF_INET);
        assert_int_equal(request->local->sa_family, AF_INET);
        assert_int_equal(((const struct sockaddr_in *) (const void *) request->local)->sin_port, tcp.sin_port);
        assert_int_equal(strlen(request->date), strlen("Sun, 06 Nov 1994 08:49:37 GMT"));
        assert_true(request->now_usec > 0 && output->capacity >= FDPASS_FLUSHER_OUTPUT_MAX && output->len == 0);
        memcpy(output->bytes, "whole", 5);
        output->len = 5;
        return FDPASS_FLUSHER_DONE;
}

static void expect_verdict(int (*f)(const struct fdpass_flusher_request *, struct fdpass_flusher_output *), const char *line) {
        const struct fdpass_flusher flusher = { FDPASS_FLUSHER_ABI, sizeof(flusher), "test", f, NULL };
        int fd;
        char got[65536];

        USE({ .unit = "a.socket", .worker = "a", .flusher = &flusher });
        fd = dial_request(HEAD "HELLO");
        assert_true(read_all(fd, got));
        assert_non_null(startswith(got, line));
        fd_close(fd);
        expect_empty_broker();
        assert_int_equal(n_taken(), 0);
}

static void test_verdicts(void **state) {
        int a = listen_at("a", 64);

        add_tcp("tcp");
        expect_verdict(too_many, "HTTP/1.1 429 Too Many Requests\r\n");
        expect_verdict(overrun, "HTTP/1.1 503 Service Unavailable\r\n");
        expect_verdict(odd, "HTTP/1.1 503 Service Unavailable\r\n");
        expect_verdict(look, "whole");
        assert_int_equal(n_refused(REFUSAL_FLUSHER), 3);
        fd_close(a);
}

TEST_MAIN(BROKER_TEST(test_stream),
          BROKER_TEST(test_message),
          BROKER_TEST(test_head),
          BROKER_TEST(test_nobody_there),
          BROKER_TEST(test_again),
          BROKER_TEST(test_untouched),
          BROKER_TEST(test_lost),
          BROKER_TEST(test_no_worker_comes),
          BROKER_TEST(test_refused_head),
          BROKER_TEST(test_verdicts))
