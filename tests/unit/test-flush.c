/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The start of a response before the handoff: what the client gets, what the worker gets, and what is left to whom. */

#include "broker-fixture.h"

#include <arpa/inet.h>

#include "broker/handback.h"
#include "handoff/message.h"

#define HEAD "POST /x HTTP/1.1\r\nHost: example.org\r\nContent-Length: 5\r\n\r\n"

static uint8_t bytes[FDPASS_MESSAGE_MAX];
static int port;

static void say(int fd, const char *text) {
        assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t) strlen(text));
}

/* A listener on loopback beside the fixture's: only TCP tells whether a client is untouched. */
static void listen_tcp(void) {
        struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t len = sizeof(sin);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        assert_int_equal(bind(fd, (struct sockaddr *) &sin, sizeof(sin)), 0);
        assert_int_equal(listen(fd, 16), 0);
        assert_int_equal(getsockname(fd, (struct sockaddr *) &sin, &len), 0);
        port = sin.sin_port;
        assert_int_equal(broker_add_listener(t.broker, "tcp", fd), 0);
}

static int dial_tcp(const char *text) {
        struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = (in_port_t) port };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_int_equal(connect(fd, (struct sockaddr *) &sin, sizeof(sin)), 0);
        say(fd, text);
        return fd;
}

static int accept_one(int worker) {
        int conn;

        WAIT_FOR(has_event(worker, POLLIN));
        conn = accept4(worker, NULL, NULL, SOCK_CLOEXEC);
        assert_true(conn >= 0);
        return conn;
}

/* The worker's side of a stream: one byte, and the client. */
static int receive_client(int conn) {
        int client = -EBADF;

        assert_int_equal(handoff_receive(conn, &client), 0);
        assert_false(fcntl(client, F_GETFL) & O_NONBLOCK);
        return client;
}

/* A connection without a client shows that there was a place for it. It is closed if the client has to be flushed first. */
static int take(int worker) {
        int client = -EBADF, r;

        do {
                int conn = accept_one(worker);

                WAIT_FOR(has_event(conn, POLLIN));
                r = handoff_receive(conn, &client);
                fd_close(conn);
        } while (r == HANDOFF_CLOSED);

        assert_int_equal(r, 0);
        assert_false(fcntl(client, F_GETFL) & O_NONBLOCK);
        return client;
}

/* The same with a message. */
static int take_message(int worker, Message *ret) {
        int conn = accept_one(worker), client = -EBADF;
        size_t n;

        assert_int_equal(handoff_receive_message(conn, 0, bytes, sizeof(bytes), &n, &client), 0);
        assert_int_equal(message_decode(bytes, n, ret), 0);
        fd_close(conn);
        return client;
}

/* All that the client gets until its end (true) or a reset. */
static bool read_all(int fd, char ret[static 65536]) {
        size_t n = 0;
        ssize_t k;

        for (;;) {
                WAIT_FOR(has_event(fd, POLLIN));
                k = recv(fd, ret + n, 65535 - n, MSG_DONTWAIT);
                if (k <= 0)
                        break;
                n += (size_t) k;
        }

        ret[n] = '\0';
        return k == 0;
}

/* A response begins with this line, and ends in this, with one head between. */
static void assert_response(const char *got, const char *line, const char *body) {
        const char *end = strstr(got, "\r\n\r\n");

        assert_non_null(startswith(got, line));
        assert_non_null(end);
        assert_string_equal(end + 4, body);
        assert_null(strstr(end, "HTTP/1.1"));
}

static void expect_served(int fd, const char *body) {
        char got[65536];

        assert_true(read_all(fd, got));
        assert_response(got, "HTTP/1.1 200 OK\r\nDate: ", body);
        assert_non_null(strstr(got, "\r\nServer: test\r\nConnection: close\r\n\r\n"));
        fd_close(fd);
}

static void expect_waiting(int fd, const char *text) {
        char buffer[256] = "";

        (void) !recv(fd, buffer, sizeof(buffer) - 1, MSG_DONTWAIT);
        assert_string_equal(buffer, text);
}

static void serve(int client, const char *waiting, const char *body) {
        expect_waiting(client, waiting);
        say(client, body);
        fd_close(client);
}

static void expect_empty_broker(void) {
        WAIT_FOR(n_in_broker() == 0);
}

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

        USE({ .unit = "a.socket", .worker = "a", .form = WORKER_SEQPACKET, .flusher = &flusher_flush });

        fd = dial("public");
        say(fd, "\r\n" HEAD "HELLO");
        serve(take_message(a, &m), "HELLO", "body");
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

/* Nobody hears of a 200 before a worker has a place for him. */
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

        listen_tcp();
        USE({ .unit = "a.socket", .worker = "a", .flusher = &flusher_flush, .receipt = RECEIPT_BY_ACK });

        fd = dial_tcp(HEAD "HELLO");
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

        /* One byte written, and it is nobody else's. */
        fd = dial_tcp(HEAD);
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

/* A response that has begun can't become another: it is cut off so that nobody takes it for whole. */
static void test_lost(void **state) {
        int a = listen_at("a", 8), fd, conn;
        char got[65536], path[64];

        listen_tcp();
        USE({ .unit = "a.socket", .worker = "a", .flusher = &flusher_flush });

        fd = dial_tcp(HEAD);
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

/* Writes as much as fits. */
static int fill(const struct fdpass_flusher_request *request, struct fdpass_flusher_output *output) {
        int r = request->head(request, output, NULL);

        memset(output->bytes + output->len, 'x', output->capacity - output->len);
        output->len = output->capacity;
        return r;
}

static const struct fdpass_flusher filler = { FDPASS_FLUSHER_ABI, sizeof(struct fdpass_flusher), "fill", fill, NULL };

/* Hands @fd back with these consumed bytes, for the route of this name, if any. */
static void hand_back_named(int fd, const char *name, const char *consumed, unsigned status, uint8_t expected) {
        uint8_t header[FDPASS_HEADER_MAX], answer = 0;
        struct sockaddr_un sun;
        Message m = MESSAGE_NULL;
        socklen_t len;
        char path[64];
        int conn;
        size_t n;

        path_of("return", path);
        assert_int_equal(address_from_path(path, &sun, &len), 0);
        conn = handoff_connect_type(&sun, len, SOCK_SEQPACKET);
        m.listener = SLICE_LITERAL("public");
        m.name = name ? slice_from_string(name) : (Slice){};
        m.consumed = slice_from_string(consumed);
        m.status = (uint16_t) status;
        m.head_length = status != 0 ? (uint32_t) m.consumed.n : 0;
        assert_int_equal(message_encode(&m, header, sizeof(header), &n), 0);
        assert_int_equal(handoff_send_message(conn, (Slice){ header, n }, m.consumed, fd), 0);
        fd_close(fd);
        WAIT_FOR(has_event(conn, POLLIN));
        assert_int_equal(recv(conn, &answer, 1, MSG_DONTWAIT), 1);
        assert_int_equal(answer, expected);
        fd_close(conn);
}

/* Both ends of a TCP connection whose buffers are full: @ret_worker has no room. Returns what was written. */
static size_t full_pair(int *ret_client, int *ret_worker) {
        struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), small = 4096;
        static const uint8_t zeros[4096];
        socklen_t len = sizeof(sin);
        size_t n = 0;
        ssize_t k;

        assert_int_equal(setsockopt(listener, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
        assert_int_equal(bind(listener, (struct sockaddr *) &sin, sizeof(sin)), 0);
        assert_int_equal(listen(listener, 1), 0);
        assert_int_equal(getsockname(listener, (struct sockaddr *) &sin, &len), 0);
        *ret_client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(setsockopt(*ret_client, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
        assert_int_equal(connect(*ret_client, (struct sockaddr *) &sin, sizeof(sin)), 0);
        *ret_worker = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        assert_true(*ret_worker >= 0);
        fd_close(listener);

        /* Until it stays full although the kernel has had time to move what there is to the other side. */
        for (;;) {
                while ((k = send(*ret_worker, zeros, sizeof(zeros), MSG_DONTWAIT)) > 0)
                        n += (size_t) k;
                struct pollfd p = { .fd = *ret_worker, .events = POLLOUT };
                if (poll(&p, 1, 300) == 0)
                        return n;
        }
}

static void start_slow(int *ret_return) {
        *ret_return = listen_type_at("return", SOCK_SEQPACKET, 8);
        assert_int_equal(handback_listen(t.broker, "return", *ret_return), 0);
        USE({ .unit = "a.socket", .worker = "a", .flusher = &filler });
}

/* One without room is waited for, without a worker's connection; it gets all, and in order. */
static void test_slow(void **state) {
        int a = listen_at("a", 8), client, fd, conn, r;
        size_t n, got = 0;
        char buffer[4096], last = 0;

        start_slow(&r);
        n = full_pair(&client, &fd);
        hand_back_named(fd, NULL, HEAD, 0, FDPASS_ANSWER_TAKEN);
        WAIT_FOR(n_flush_waits() == 1);

        /* The worker's connection was closed again. */
        conn = accept_one(a);
        WAIT_FOR(has_event(conn, POLLIN));
        assert_int_equal(handoff_receive(conn, &fd), HANDOFF_CLOSED);
        fd_close(conn);
        assert_int_equal(n_taken(), 0);

        while (got < n + FDPASS_FLUSHER_OUTPUT_MAX) {
                ssize_t k;

                WAIT_FOR(has_event(client, POLLIN));
                k = recv(client, buffer, sizeof(buffer), MSG_DONTWAIT);
                assert_true(k > 0);
                got += (size_t) k;
                last = buffer[k - 1];
        }
        assert_int_equal(got, n + FDPASS_FLUSHER_OUTPUT_MAX);
        assert_int_equal(last, 'x');

        fd_close(take(a));
        expect_empty_broker();
        assert_int_equal(n_flushed(), 1);
        fd_close(client);
        fd_close(a);
}

/* And not for long: a client that reads nothing is reset. */
static void test_too_slow(void **state) {
        int a = listen_at("a", 8), client, fd, r;

        start_slow(&r);
        (void) full_pair(&client, &fd);
        hand_back_named(fd, NULL, HEAD, 0, FDPASS_ANSWER_TAKEN);
        WAIT_FOR(n_flush_waits() == 1);
        WAIT_FOR(n_in_broker() == 0);
        assert_int_equal(n_refused(REFUSAL_SLOW), 1);
        assert_int_equal(n_flush_lost(), 1);
        fd_close(client);
        fd_close(a);
}

/* It leaves while it is waited for. */
static void test_slow_and_gone(void **state) {
        int a = listen_at("a", 8), client, fd, r;

        start_slow(&r);
        (void) full_pair(&client, &fd);
        hand_back_named(fd, NULL, HEAD, 0, FDPASS_ANSWER_TAKEN);
        WAIT_FOR(n_flush_waits() == 1);
        fd_close(client); /* with bytes unread: a reset */
        WAIT_FOR(n_in_broker() == 0);
        assert_int_equal(n_gone(), 1);
        fd_close(a);
}

static int too_many(const struct fdpass_flusher_request *request, struct fdpass_flusher_output *output) {
        output->status = 429;
        return FDPASS_FLUSHER_REFUSE;
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
        assert_int_equal(((const struct sockaddr_in *) (const void *) request->local)->sin_port, port);
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
        fd = dial_tcp(HEAD "HELLO");
        assert_true(read_all(fd, got));
        assert_non_null(startswith(got, line));
        fd_close(fd);
        expect_empty_broker();
        assert_int_equal(n_taken(), 0);
}

/* RFC 9110 9.3.2: a refusal of HEAD has the head alone. */
static void test_refused_head(void **state) {
        const struct fdpass_flusher flusher = { FDPASS_FLUSHER_ABI, sizeof(flusher), "test", too_many, NULL };
        int a = listen_at("a", 8), fd;
        char got[65536];

        listen_tcp();
        USE({ .unit = "a.socket", .worker = "a", .flusher = &flusher });
        fd = dial_tcp("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_true(read_all(fd, got));
        assert_response(got, "HTTP/1.1 429 Too Many Requests\r\n", "");
        assert_non_null(strstr(got, "\r\nContent-Length: "));
        fd_close(fd);
        expect_empty_broker();
        fd_close(a);
}

static void test_verdicts(void **state) {
        int a = listen_at("a", 64);

        listen_tcp();
        expect_verdict(too_many, "HTTP/1.1 429 Too Many Requests\r\n");
        expect_verdict(overrun, "HTTP/1.1 503 Service Unavailable\r\n");
        expect_verdict(odd, "HTTP/1.1 503 Service Unavailable\r\n");
        expect_verdict(look, "whole");
        assert_int_equal(n_refused(REFUSAL_FLUSHER), 3);
        fd_close(a);
}

/* A response that has begun is not followed by an answer when no worker comes: it is reset, so that nobody takes it for whole. */
static void test_no_worker_comes(void **state) {
        int a = listen_at("a", 8), client;
        char got[65536];

        listen_tcp();
        USE({ .unit = "a.socket", .worker = "a", .flusher = &flusher_flush, .queue_timeout = 200 * USEC_PER_MSEC });
        client = dial_tcp(HEAD "HELLO");
        assert_false(read_all(client, got));
        assert_non_null(strstr(got, "HTTP/1.1 200 "));
        assert_null(strstr(got, "504"));
        WAIT_FOR(n_refused(REFUSAL_TIMEOUT) == 1);
        assert_int_equal(n_flush_lost(), 1);

        fd_close(client);
        fd_close(a);
}

/* From one worker to the next: flushed once, wherever its head was read. */
static void test_handed_back(void **state) {
        int a = listen_at("a", 8), b = listen_type_at("b", SOCK_SEQPACKET, 8), pair[2], r;
        Message m;
        char got[65536];

        r = listen_type_at("return", SOCK_SEQPACKET, 8);
        assert_int_equal(handback_listen(t.broker, "return", r), 0);
        listen_tcp();
        USE({ .unit = "a.socket", .worker = "a", .name = "stream", .flusher = &flusher_flush },
            { .unit = "b.socket", .worker = "b", .form = WORKER_SEQPACKET, .name = "whole" },
            { .unit = "c.socket", .worker = "a", .name = "bare" },
            { .unit = "d.socket", .worker = "b", .form = WORKER_SEQPACKET });

        /* The worker has read the head and gives it back: it is answered, and the body is the next one's. */
        pair[0] = dial_tcp("HELLO");
        pair[1] = take_message(b, &m);
        hand_back_named(pair[1], "stream", HEAD, 0, FDPASS_ANSWER_TAKEN);
        serve(take(a), "HELLO", "body");
        expect_served(pair[0], "body");

        /* Half of it is still in the socket. */
        pair[0] = dial_tcp("Host: a\r\n\r\nHELLO");
        pair[1] = take_message(b, &m);
        hand_back_named(pair[1], "stream", "GET / HTTP/1.1\r\n", 0, FDPASS_ANSWER_TAKEN);
        serve(take(a), "HELLO", "body");
        expect_served(pair[0], "body");

        /* It was flushed before: not again, and who knows nothing of that does not get it. */
        pair[0] = dial_tcp("HELLO");
        pair[1] = take_message(b, &m);
        hand_back_named(pair[1], "stream", HEAD, 200, FDPASS_ANSWER_TAKEN);
        serve(take(a), "HELLO", "body");
        assert_true(read_all(pair[0], got));
        assert_string_equal(got, "body");
        fd_close(pair[0]);

        pair[0] = dial_tcp("HELLO");
        pair[1] = take_message(b, &m);
        hand_back_named(pair[1], "whole", HEAD, 203, FDPASS_ANSWER_TAKEN);
        serve(take_message(b, &m), "HELLO", "body");
        assert_int_equal(m.status, 203);
        assert_int_equal(m.head_length, strlen(HEAD));
        fd_close(pair[0]);

        pair[0] = dial_tcp("HELLO");
        pair[1] = take_message(b, &m);
        hand_back_named(pair[1], "bare", HEAD, 200, FDPASS_ANSWER_TAKEN);
        assert_false(read_all(pair[0], got));
        fd_close(pair[0]);
        expect_empty_broker();

        /* There is no next request behind a response that ends with the connection. */
        pair[0] = dial_tcp("HELLO");
        pair[1] = take_message(b, &m);
        hand_back_named(pair[1], NULL, "", 200, FDPASS_ANSWER_ERROR);
        fd_close(pair[0]);
        assert_int_equal(n_flushed(), 2);

        /* No request, no response to it. */
        pair[0] = dial_tcp("HELLO");
        pair[1] = take_message(b, &m);
        hand_back_named(pair[1], "stream", "", 0, FDPASS_ANSWER_TAKEN);
        WAIT_FOR(n_refused(REFUSAL_WORKER) == 2);
        fd_close(pair[0]);
        expect_empty_broker();
        fd_close(a);
        fd_close(b);
}

/* A broker that stops gives a flushed client that waits for a worker to the next one, which does not flush it again. */
static void test_restart(void **state) {
        int a = listen_at("a", 8), r, fd, conn;

        r = listen_type_at("return", SOCK_SEQPACKET, 8);
        assert_int_equal(handback_listen(t.broker, "return", fcntl(r, F_DUPFD_CLOEXEC, 0)), 0);
        listen_tcp();
        USE({ .unit = "a.socket", .worker = "a", .max_pending = 1, .flusher = &flusher_flush });

        fd = dial_tcp(HEAD "HELLO");
        conn = accept_one(a);
        WAIT_FOR(has_event(fd, POLLIN) && has_event(conn, POLLIN));
        fd_close(conn); /* unread: it waits now, because the worker is left alone for a moment */
        WAIT_FOR(n_unread() == 1);

        /* Its backlog is as good as full to a broker that can't connect. */
        fd_close(a);
        a = -EBADF;
        broker_stop(t.broker);
        assert_int_equal(n_passed_on(), 1);
        t.broker = broker_free(t.broker);
        t.event = sd_event_unref(t.event);

        assert_true(sd_event_new(&t.event) >= 0);
        assert_int_equal(broker_new(t.event, t.log, N_FDS, &t.broker), 0);
        assert_int_equal(broker_add_listener(t.broker, "tcp", listen_at("public", 1)), 0);
        assert_int_equal(handback_listen(t.broker, "return", r), 0);
        a = listen_at("a", 8);
        USE({ .unit = "a.socket", .worker = "a", .flusher = &flusher_flush, .receipt = RECEIPT_BY_ACK });

        /* What was read and written before is no obstacle to a second worker either. */
        conn = accept_one(a);
        fd_close(receive_client(conn));
        fd_close(conn);
        conn = accept_one(a);
        int client = receive_client(conn);
        handoff_answer(conn, FDPASS_ANSWER_TAKEN);
        fd_close(conn);
        serve(client, "HELLO", "body");
        expect_empty_broker();
        assert_int_equal(n_flushed(), 0);
        expect_served(fd, "body");
        fd_close(a);
}

TEST_MAIN(BROKER_TEST(test_stream),
          BROKER_TEST(test_message),
          BROKER_TEST(test_head),
          BROKER_TEST(test_nobody_there),
          BROKER_TEST(test_again),
          BROKER_TEST(test_untouched),
          BROKER_TEST(test_lost),
          BROKER_TEST(test_slow),
          BROKER_TEST(test_too_slow),
          BROKER_TEST(test_slow_and_gone),
          BROKER_TEST(test_verdicts),
          BROKER_TEST(test_refused_head),
          BROKER_TEST(test_handed_back),
          BROKER_TEST(test_no_worker_comes),
          BROKER_TEST(test_restart))
