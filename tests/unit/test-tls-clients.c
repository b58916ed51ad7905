/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Clients that come from a TLS stage, with the kernel's TLS on their socket. */

#include "handback-fixture.h"
#include "ktls-fixture.h"

/* The facts that a stage learned of a client that asked it for a.test. */
static Message stage_message(void) {
        Message m = MESSAGE_NULL;

        m.ssl = SLICE_LITERAL("\1\0\0\0\1\xe0\0\6a.test");
        m.alpn = SLICE_LITERAL("http/1.1");
        m.authority = SLICE_LITERAL("a.test");
        m.hops = 1;
        return m;
}

/* A client that has sent @text, and comes from a stage. Returns the client's end. */
static int come(const char *text, Message m) {
        int client, fd;

        tcp_pair(&client, &fd);
        make_ktls(fd);
        if (text)
                say(client, text);
        expect_answer(hand_back(fd, m), FDPASS_ANSWER_TAKEN);
        return client;
}

/*
 * Reads to the end of the connection. Consumes @client. A reset is no end, unless close_notify came before: TCP resets for
 * unread bytes, and kTLS only for those that were not peeked at.
 */
static void read_to_end(int client, char ret[static 1024]) {
        size_t n = 0;
        ssize_t k = 1;

        while (k > 0) {
                WAIT_FOR(has_event(client, POLLIN));
                k = __real_recv(client, ret + n, 1023 - n, MSG_DONTWAIT);
                n += (size_t) MAX(k, (ssize_t) 0);
        }
        ret[n] = '\0';
        assert_true(k == 0 || strstr(ret, NOTIFIED));
        fd_close(client);
}

/* The client gets an answer that begins with @text, then close_notify if @is_notified, and then the FIN. */
static void expect_end(int client, const char *text, bool is_notified) {
        char got[1024], *notified;

        read_to_end(client, got);
        if (strncmp(got, text, strlen(text)) != 0)
                print_message("expected \"%s\", got: %s\n", text, got);
        assert_memory_equal(got, text, strlen(text));
        notified = strstr(got, NOTIFIED);
        assert_true(is_notified == (notified != NULL));
        if (notified)
                assert_string_equal(notified, NOTIFIED);
}

static int begin(void) {
        int a = listen_type_at("a", SOCK_SEQPACKET, 8);

        assert_int_equal(handback_listen(t.broker, "return", listen_type_at("return", SOCK_SEQPACKET, 8)), 0);
        t.max_per_source = 1000;
        USE({ .unit = "a.socket", .worker = "a", .host = "a.test", .path = "/a", .transport = TRANSPORT_SEQPACKET, .receipt = RECEIPT_BY_ACK });
        n_sockets = 0;
        return a;
}

#define REQUEST "GET /a HTTP/1.1\r\nHost: a.test\r\n\r\n"

/* Each refusal is followed by close_notify, and then by the FIN. */
static void test_refusals(void **state) {
        int a = begin();

        expect_end(come("GET /b HTTP/1.1\r\nHost: a.test\r\n\r\n", stage_message()), "HTTP/1.1 404 ", true);
        expect_end(come("GET /a HTTP/1.1\r\nHost: b.test\r\n\r\n", stage_message()), "HTTP/1.1 421 ", true);
        expect_end(come("GET /a HTTP/1.1\r\nHost: a.test\r\nHost: a.test\r\n\r\n", stage_message()), "HTTP/1.1 400 ", true);
        expect_end(come("GET /a HTTP/1.1\r\nHost: a", stage_message()), "HTTP/1.1 408 ", true);
        expect_end(come(NULL, stage_message()), "", true);
        expect_end(come("\1\2\3\4", stage_message()), "", true);
        assert_int_equal(n_refused(REFUSAL_HEAD_TIMEOUT), 2);

        /* The queue is full at once. */
        fd_close(a);
        USE({ .unit = "a.socket", .worker = "none", .transport = TRANSPORT_SEQPACKET, .queue_timeout = 100 * USEC_PER_MSEC });
        expect_end(come(REQUEST, stage_message()), "HTTP/1.1 50", true);
        WAIT_FOR(n_in_broker() == 0);
}

/* A broken record behind a part of a head ends the client at once. */
static void test_broken_record(void **state) {
        int a = begin();

        expect_end(come("GET /a HTTP/1.1\r\nHost: a" BROKEN, stage_message()), "", true);
        WAIT_FOR(n_in_broker() == 0);
        assert_int_equal(n_gone(), 1);
        assert_int_equal(n_refused(REFUSAL_HEAD_TIMEOUT), 0);
        fd_close(a);
}

static int setup_noisy(void **state) {
        is_noisy = true; /* before the helper is there, which makes the calls */
        return setup_with_helper(state);
}

static int teardown_noisy(void **state) {
        is_noisy = false;
        return teardown(state);
}

/* Events without end don't prolong the time for the head. */
static void test_endless_events(void **state) {
        int a = begin(), client, fd;

        tcp_pair(&client, &fd);
        say(client, "GET /a HTTP/1.1\r\nHost: a");
        expect_answer(hand_back(fd, stage_message()), FDPASS_ANSWER_TAKEN);
        expect_end(client, "HTTP/1.1 408 ", false);
        WAIT_FOR(n_in_broker() == 0);
        assert_int_equal(n_refused(REFUSAL_HEAD_TIMEOUT), 1);
        fd_close(a);
}

/* Other sockets get no close_notify, which would be data on them. */
static void test_plain_socket(void **state) {
        int a = begin(), client, fd;

        tcp_pair(&client, &fd);
        say(client, "GET /b HTTP/1.1\r\nHost: a.test\r\n\r\n");
        expect_answer(hand_back(fd, stage_message()), FDPASS_ANSWER_TAKEN);
        expect_end(client, "HTTP/1.1 404 ", false);
        WAIT_FOR(n_in_broker() == 0);
        fd_close(a);
}

/* A client in a worker's backlog that the broker gives up gets its answer and close_notify, in spite of the worker. */
static void test_backlog(void **state) {
        int a = begin();

        USE({ .unit = "a.socket", .worker = "a", .transport = TRANSPORT_SEQPACKET, .queue_timeout = 200 * USEC_PER_MSEC,
              .receipt = RECEIPT_BY_ACK });
        expect_end(come(REQUEST, stage_message()), "HTTP/1.1 504 ", true);
        fd_close(a);
        WAIT_FOR(n_in_broker() == 0);
}

/* A parked client gets close_notify at the end of its time, and if it has ended itself. */
static void test_parked(void **state) {
        Message m = stage_message();
        int a = begin(), client;

        m.hops = 0;
        client = come(NULL, m);
        WAIT_FOR(n_parked() == 1);
        say(client, "\x15");
        expect_end(client, "", true);

        set_park_timeout(100 * USEC_PER_MSEC);
        expect_end(come(NULL, m), "", true);
        WAIT_FOR(n_in_broker() == 0);
        assert_int_equal(n_gone(), 2);
        fd_close(a);
}

/* The client's close_notify is the end of its bytes: no time is waited for more. */
static void test_client_ends(void **state) {
        int a = begin(), client;

        expect_end(come("\x15", stage_message()), "", true);

        /* Behind a part of a head, only the FIN is an event. */
        client = come("GET /a HTT\x15", stage_message());
        assert_int_equal(shutdown(client, SHUT_WR), 0);
        expect_end(client, "", true);
        assert_int_equal(n_refused(REFUSAL_HEAD_TIMEOUT), 0);

        /* Behind a whole head, it is for the worker. */
        client = come(REQUEST "\x15", stage_message());
        (void) take_message(a, REQUEST);
        fd_close(client);
        fd_close(a);
        WAIT_FOR(n_in_broker() == 0);
}

/* Takes a client at @worker, as it is. Returns its socket. */
static int take_client(int worker) {
        static uint8_t message[FDPASS_MESSAGE_MAX];
        int conn, fd = -EBADF;
        size_t n;

        WAIT_FOR(has_event(worker, POLLIN));
        conn = accept4(worker, NULL, NULL, SOCK_CLOEXEC);
        assert_int_equal(handoff_receive_message(conn, 0, message, sizeof(message), &n, &fd), 0);
        handoff_answer(conn, FDPASS_ANSWER_TAKEN);
        fd_close(conn);
        return fd;
}

/* A worker has served a first request of a client that came through a stage. Returns the worker's descriptor. */
static int serve_one(int worker, bool is_ktls, Message m, int *ret_client) {
        char bytes[256];
        int fd;

        tcp_pair(ret_client, &fd);
        if (is_ktls)
                make_ktls(fd);
        say(*ret_client, REQUEST);
        expect_answer(hand_back(fd, m), FDPASS_ANSWER_TAKEN);
        fd = take_client(worker);
        assert_int_equal(recv(fd, bytes, sizeof(bytes), 0), strlen(REQUEST));
        WAIT_FOR(n_in_broker() == 0);
        return fd;
}

/*
 * A worker hands a client back and leaves out the facts of the stage. Its next request is still for the host of the
 * handshake only, and the next worker is told of the TLS. @is_ktls: of both ways of the stage.
 */
static void expect_kept_tls(bool is_ktls) {
        int a = begin(), client, fd, conn = connect_return();
        Message m = stage_message();

        m.source.in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(99), .sin_addr.s_addr = htonl(0xc0000207) };
        m.destination.in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(443), .sin_addr.s_addr = htonl(0xc0000201) };
        fd = serve_one(a, is_ktls, m, &client);
        say(client, REQUEST);
        send_message(conn, fd, MESSAGE_NULL);
        expect_answer(conn, FDPASS_ANSWER_TAKEN);
        m = take_message(a, REQUEST);
        assert_true(slice_equal(m.listener, SLICE_LITERAL("public")));
        assert_true(slice_equal(m.ssl, stage_message().ssl));
        assert_true(slice_equal(m.alpn, SLICE_LITERAL("http/1.1")));
        assert_int_equal(m.source.in.sin_port, htons(99));
        fd_close(client);

        fd = serve_one(a, is_ktls, stage_message(), &client);
        expect_answer(hand_back(fd, MESSAGE_NULL), FDPASS_ANSWER_TAKEN);
        WAIT_FOR(n_parked() == 1);
        say(client, "GET /a HTTP/1.1\r\nHost: b.test\r\n\r\n");
        expect_end(client, "HTTP/1.1 421 ", is_ktls);
        fd_close(a);
        WAIT_FOR(n_in_broker() == 0);
}

static void test_kept_tls(void **state) {
        expect_kept_tls(/* is_ktls= */ true);
}

static void test_kept_tls_of_pair(void **state) {
        expect_kept_tls(/* is_ktls= */ false);
}

/* Without memory of it, a client with the kernel's TLS gets no host by name, and the others are as before. */
static void test_unknown_tls(void **state) {
        int a = begin(), client, fd;

        expect_end(come(REQUEST, MESSAGE_NULL), "HTTP/1.1 421 ", true);

        tcp_pair(&client, &fd);
        say(client, REQUEST);
        expect_answer(hand_back(fd, MESSAGE_NULL), FDPASS_ANSWER_TAKEN);
        assert_int_equal(take_message(a, REQUEST).ssl.n, 0);
        fd_close(client);
        fd_close(a);
        WAIT_FOR(n_in_broker() == 0);
}

/* A client that a stage hands back is new: it is not parked, and a route for silent clients gets it. */
static void test_new_client(void **state) {
        int a = begin(), client;
        Message m;

        USE({ .unit = "a.socket", .worker = "a", .protocols = PROTOCOL_SILENT, .transport = TRANSPORT_SEQPACKET });
        client = come(NULL, stage_message());
        assert_int_equal(n_parked(), 0);
        m = take_message(a, "");
        assert_true(slice_equal(m.authority, SLICE_LITERAL("a.test")));
        fd_close(client);
        fd_close(a);
        WAIT_FOR(n_in_broker() == 0);
}

/* HTTP/2 behind a stage has no Host that the broker reads: it goes by the name of the handshake. */
static void test_http2(void **state) {
        static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        int a = begin(), client;
        Message m = stage_message();

        USE({ .unit = "a.socket", .worker = "a", .host = "a.test", .protocols = 1U << PROBE_HTTP2, .transport = TRANSPORT_SEQPACKET },
            { .unit = "b.socket", .worker = "b", .host = "b.test", .protocols = 1U << PROBE_HTTP2, .transport = TRANSPORT_SEQPACKET });
        m.alpn = SLICE_LITERAL("h2");
        client = come(preface, m);
        m = take_message(a, preface);
        assert_true(slice_equal(m.authority, SLICE_LITERAL("a.test")));
        assert_true(slice_equal(m.alpn, SLICE_LITERAL("h2")));
        fd_close(client);
        fd_close(a);
        WAIT_FOR(n_in_broker() == 0);
}

typedef enum Deed {
        DEED_NONE,
        DEED_PEEK,
        DEED_READ_ONE,
        DEED_READ_ALL,
        DEED_READ_ALL_AGAIN, /* and the client sends the same bytes again */
        DEED_WRITE,
        DEED_CLIENT_SENDS,   /* the client sends more, and the worker does nothing */
        DEED_CLIENT_ENDS,
} Deed;

/* A worker gets the client, does something, and dies without an answer. */
static void die_after(int worker, int client, Deed deed) {
        static uint8_t message[FDPASS_MESSAGE_MAX];
        char bytes[256];
        int conn, fd = -EBADF;
        size_t n;

        WAIT_FOR(has_event(worker, POLLIN));
        conn = accept4(worker, NULL, NULL, SOCK_CLOEXEC);
        assert_int_equal(handoff_receive_message(conn, 0, message, sizeof(message), &n, &fd), 0);
        if (deed == DEED_PEEK)
                assert_int_equal(recv(fd, bytes, sizeof(bytes), MSG_PEEK), strlen(REQUEST));
        if (deed == DEED_READ_ONE)
                assert_int_equal(recv(fd, bytes, 1, 0), 1);
        if (deed == DEED_READ_ALL || deed == DEED_READ_ALL_AGAIN)
                assert_int_equal(recv(fd, bytes, sizeof(bytes), 0), strlen(REQUEST));
        if (deed == DEED_READ_ALL_AGAIN || deed == DEED_CLIENT_SENDS)
                say(client, REQUEST);
        if (deed == DEED_WRITE)
                assert_int_equal(send(fd, "x", 1, 0), 1);
        if (deed == DEED_CLIENT_ENDS)
                assert_int_equal(shutdown(client, SHUT_WR), 0);
        fd_close(fd);
        fd_close(conn);
}

/*
 * Another worker gets the client if the first one died and left it untouched, and not otherwise. The broker's own peeks
 * do not count, and a read of bytes that it has peeked at does.
 */
static void test_untouched(void **state) {
        static const struct { Deed deed; bool is_again; } deeds[] = {
                { DEED_NONE, true },       { DEED_PEEK, true },        { DEED_READ_ONE, false },
                { DEED_READ_ALL, false },  { DEED_READ_ALL_AGAIN, false },
                { DEED_WRITE, false },     { DEED_CLIENT_SENDS, true }, { DEED_CLIENT_ENDS, true },
        };
        int a = begin();

        for (size_t i = 0; i < ELEMENTSOF(deeds); i++) {
                uint64_t n = n_unread(), n_before = n_taken();
                int client = come(REQUEST, stage_message());

                die_after(a, client, deeds[i].deed);
                if (deeds[i].is_again) {
                        (void) take_message(a, deeds[i].deed == DEED_CLIENT_SENDS ? REQUEST REQUEST : REQUEST);
                        assert_int_equal(n_unread(), n + 1);
                }
                WAIT_FOR(n_in_broker() == 0);
                assert_int_equal(n_taken(), n_before + 1);
                assert_false(has_event(a, POLLIN));
                fd_close(client);
        }
        fd_close(a);
}

/* The head may come in pieces, so the broker has peeked several times; and several workers may die. */
static void test_untouched_in_pieces(void **state) {
        int a = begin(), client = come("GET /a HTTP/1.1\r\n", stage_message());

        run_for(50 * USEC_PER_MSEC);
        say(client, "Host: a.test\r\n");
        run_for(50 * USEC_PER_MSEC);
        say(client, "\r\n");
        die_after(a, client, DEED_NONE);
        die_after(a, client, DEED_NONE);
        (void) take_message(a, REQUEST);
        WAIT_FOR(n_in_broker() == 0);
        assert_int_equal(n_unread(), 2);
        fd_close(client);
        fd_close(a);
}

/* Writes the response, whole or its head only. */
static int flush_text(const struct fdpass_flusher_request *request, struct fdpass_flusher_output *output, bool is_all) {
        static const char text[] = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";

        memcpy(output->bytes, text, strlen(text));
        output->len = strlen(text);
        output->status = 200;
        return is_all ? FDPASS_FLUSHER_DONE : FDPASS_FLUSHER_GO;
}

static int flush_whole(const struct fdpass_flusher_request *request, struct fdpass_flusher_output *output) {
        return flush_text(request, output, true);
}

static int flush_head(const struct fdpass_flusher_request *request, struct fdpass_flusher_output *output) {
        return flush_text(request, output, false);
}

static const struct fdpass_flusher whole = { .abi = FDPASS_FLUSHER_ABI, .name = "whole", .flush = flush_whole };
static const struct fdpass_flusher head = { .abi = FDPASS_FLUSHER_ABI, .name = "head", .flush = flush_head };

/*
 * A response that a flusher wrote whole ends with close_notify. One that lacks its body does not: so the client knows
 * that a part is missing.
 */
static void test_flusher(void **state) {
        int a = begin(), client;

        USE({ .unit = "a.socket", .worker = "a", .host = "a.test", .transport = TRANSPORT_SEQPACKET, .flusher = &whole });
        expect_end(come(REQUEST, stage_message()), "HTTP/1.1 200 ", true);

        USE({ .unit = "a.socket", .worker = "a", .host = "a.test", .transport = TRANSPORT_SEQPACKET, .flusher = &head,
              .receipt = RECEIPT_BY_ACK, .queue_timeout = 200 * USEC_PER_MSEC });
        expect_end(come(REQUEST, stage_message()), "HTTP/1.1 200 ", false);
        fd_close(a);

        /* Bytes that the broker itself has read and written do not count against the next worker. */
        a = listen_type_at("a", SOCK_SEQPACKET, 8);
        USE({ .unit = "a.socket", .worker = "a", .host = "a.test", .transport = TRANSPORT_SEQPACKET, .flusher = &head,
              .receipt = RECEIPT_BY_ACK });
        client = come(REQUEST "body", stage_message());
        WAIT_FOR(has_event(a, POLLIN));
        fd_close(accept4(a, NULL, NULL, SOCK_CLOEXEC)); /* the look for a place, before the flusher's turn */
        die_after(a, client, DEED_NONE);
        assert_true(slice_equal(take_message(a, "body").consumed, SLICE_LITERAL(REQUEST)));
        fd_close(client);
        fd_close(a);
        WAIT_FOR(n_in_broker() == 0);
}

TEST_MAIN(BROKER_TEST(test_refusals), BROKER_TEST(test_broken_record), cmocka_unit_test_setup_teardown(test_endless_events, setup_noisy, teardown_noisy),
          BROKER_TEST(test_plain_socket), BROKER_TEST(test_backlog), BROKER_TEST(test_parked),
          BROKER_TEST(test_client_ends), BROKER_TEST(test_kept_tls), BROKER_TEST(test_kept_tls_of_pair), BROKER_TEST(test_unknown_tls),
          BROKER_TEST(test_new_client), BROKER_TEST(test_http2), BROKER_TEST(test_untouched),
          BROKER_TEST(test_untouched_in_pieces), BROKER_TEST(test_flusher))
