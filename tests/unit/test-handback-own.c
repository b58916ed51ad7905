/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Return connections: a worker keeps the connection on which a client came, and hands back only what it was given. */

#include "handback-fixture.h"

#define HEAD_C "GET /c HTTP/1.1\r\nHost: example.org\r\n\r\n"

static uint8_t bytes[FDPASS_MESSAGE_MAX]; /* the message of the client below */

typedef struct Given {
        int a, c;      /* sockets of the workers */
        int client;    /* its own end */
        int conn;      /* the connection on which it came to worker a */
        int fd;        /* the worker's descriptor */
        Message m;     /* points into @bytes */
} Given;

/* Worker a gets a client, and the broker knows that the connection stays. */
static Given begin(void) {
        Given g = { .a = listen_type_at("a", SOCK_SEQPACKET, 8), .c = listen_type_at("c", SOCK_SEQPACKET, 8), .fd = -EBADF };
        uint8_t answer = 0;
        size_t n;
        int fd;

        assert_int_equal(handback_listen(t.broker, "return", listen_type_at("return", SOCK_SEQPACKET, 8)), 0);
        t.max_per_source = t.max_per_source ?: 1000;
        USE({ .unit = "a.socket", .worker = "a", .host = "example.org", .path = "/a", .transport = TRANSPORT_SEQPACKET },
            { .unit = "c.socket", .worker = "c", .host = "example.org", .path = "/c", .transport = TRANSPORT_SEQPACKET },
            { .unit = "n.socket", .worker = "c", .transport = TRANSPORT_SEQPACKET, .name = "inner" });

        tcp_pair(&g.client, &fd);
        say(g.client, HEAD_A);
        expect_answer(hand_back(fd, MESSAGE_NULL), FDPASS_ANSWER_TAKEN);

        WAIT_FOR(has_event(g.a, POLLIN));
        g.conn = accept4(g.a, NULL, NULL, SOCK_CLOEXEC);
        assert_int_equal(handoff_receive_message(g.conn, 0, bytes, sizeof(bytes), &n, &g.fd), 0);
        assert_int_equal(message_decode(bytes, n, &g.m), 0);
        assert_true(g.m.scope.n > 0);
        assert_int_equal(g.m.seal.n, FDPASS_SEAL_SIZE);

        assert_int_equal(handoff_answer(g.conn, FDPASS_ANSWER_RETURN), 0);
        WAIT_FOR(has_event(g.conn, POLLIN));
        assert_int_equal(recv(g.conn, &answer, 1, MSG_DONTWAIT), 1);
        assert_int_equal(answer, FDPASS_ANSWER_RETURN);
        assert_int_equal(n_in_broker(), 0);
        return g;
}

static void end(Given *g) {
        fd_close(g->conn);
        fd_close(g->client);
        fd_close(g->fd);
        fd_close(g->a);
        fd_close(g->c);
}

/* Sends @fd on the connection with the facts of @m, and expects this answer. */
static void send_on(const Given *g, int fd, const Message *m, uint8_t expected) {
        uint8_t header[FDPASS_HEADER_MAX], answer = 0;
        size_t n;

        assert_int_equal(message_encode(m, header, sizeof(header), &n), 0);
        assert_int_equal(handoff_send_message(g->conn, (Slice){ header, n }, (Slice){}, fd), 0);
        WAIT_FOR(has_event(g->conn, POLLIN));
        assert_int_equal(recv(g->conn, &answer, 1, MSG_DONTWAIT), 1);
        assert_int_equal(answer, expected);
}

/* The facts that go back. */
static Message facts_of(const Given *g) {
        Message m = g->m;

        m.route = m.name = m.scope = m.authority = m.protocol = (Slice){};
        m.hops = m.persistent_max = 0;
        m.deadline = MESSAGE_NO_DEADLINE;
        return m;
}

/* The client goes from one worker to another, and again, over one connection of each. */
static void test_back(void **state) {
        Given g = begin();
        char head[256];

        assert_true(recv(g.fd, head, sizeof(head), 0) > 0);
        for (int i = 0; i < 3; i++) {
                Message m = facts_of(&g);

                say(g.client, HEAD_C);
                send_on(&g, g.fd, &m, FDPASS_ANSWER_TAKEN);
                (void) take_message(g.c, HEAD_C);
                WAIT_FOR(n_in_broker() == 0);
        }
        end(&g);
}

/* Anything else than what came is refused, and the connection goes on. */
static void test_forged(void **state) {
        Given g = begin();
        int client, fd;
        Message m;

        m = facts_of(&g);
        m.seal = (Slice){};
        send_on(&g, g.fd, &m, FDPASS_ANSWER_ERROR);

        m = facts_of(&g);
        m.seal = (Slice){ (const uint8_t *) "12345678", 8 };
        send_on(&g, g.fd, &m, FDPASS_ANSWER_ERROR);

        m = facts_of(&g);
        m.name = SLICE_LITERAL("inner");
        send_on(&g, g.fd, &m, FDPASS_ANSWER_ERROR);

        m = facts_of(&g);
        m.hops = 1;
        send_on(&g, g.fd, &m, FDPASS_ANSWER_ERROR);

        m = facts_of(&g);
        m.listener = SLICE_LITERAL("other");
        send_on(&g, g.fd, &m, FDPASS_ANSWER_ERROR);

        m = facts_of(&g);
        m.source.in.sin_addr.s_addr ^= htonl(1);
        send_on(&g, g.fd, &m, FDPASS_ANSWER_ERROR);

        m = facts_of(&g);
        m.source.sa.sa_family = m.destination.sa.sa_family = AF_UNSPEC;
        send_on(&g, g.fd, &m, FDPASS_ANSWER_ERROR);

        /* Another client of the same worker. */
        tcp_pair(&client, &fd);
        m = facts_of(&g);
        send_on(&g, fd, &m, FDPASS_ANSWER_ERROR);
        fd_close(fd);
        fd_close(client);

        assert_int_equal(n_in_broker(), 0);
        say(g.client, HEAD_C);
        assert_true(recv(g.fd, bytes + FDPASS_HEADER_MAX, sizeof(HEAD_A) - 1, 0) > 0);
        m = facts_of(&g);
        send_on(&g, g.fd, &m, FDPASS_ANSWER_TAKEN);
        (void) take_message(g.c, HEAD_C);
        WAIT_FOR(n_in_broker() == 0);
        end(&g);
}

/* Tells the next request of @g, as @head. The broker does not answer. */
static void tell(const Given *g, const char *head) {
        uint8_t header[FDPASS_HEADER_MAX];
        Message m = facts_of(g);
        size_t n;

        m.next = slice_from_string(head);
        assert_int_equal(message_encode(&m, header, sizeof(header), &n), 0);
        assert_int_equal(handoff_send_message(g->conn, (Slice){ header, n }, (Slice){}, g->fd), 0);
}

/* Receives the next client of worker c, and returns the connection. *ret_told: the broker has not looked at it. */
static int take_at_c(const Given *g, int *ret_fd, bool *ret_told) {
        static uint8_t message[FDPASS_MESSAGE_MAX];
        Message m;
        size_t n;
        int conn;

        WAIT_FOR(has_event(g->c, POLLIN));
        conn = accept4(g->c, NULL, NULL, SOCK_CLOEXEC);
        assert_int_equal(handoff_receive_message(conn, 0, message, sizeof(message), &n, ret_fd), 0);
        assert_int_equal(message_decode(message, n, &m), 0);
        assert_true(m.next.n == 0 || slice_equal(m.next, SLICE_LITERAL("\x01")));
        assert_true(m.scope.n > 0);
        *ret_told = m.next.n > 0;
        return conn;
}

static void answer_at_c(int conn, int fd, uint8_t answer) {
        fd_close(fd);
        assert_int_equal(handoff_answer(conn, answer), 0);
        fd_close(conn);
        WAIT_FOR(n_in_broker() == 0);
}

/* Worker c shows that it compares first requests: it hands a client back by NEXT. */
static void show_that_c_compares(Given *g) {
        Given at_c = *g;
        bool is_told;
        size_t n;
        int conn;

        say(g->client, HEAD_C);
        tell(g, HEAD_C);
        WAIT_FOR(has_event(g->c, POLLIN));
        conn = accept4(g->c, NULL, NULL, SOCK_CLOEXEC);
        assert_int_equal(handoff_receive_message(conn, 0, bytes, sizeof(bytes), &n, &at_c.fd), 0);
        assert_int_equal(message_decode(bytes, n, &at_c.m), 0);
        assert_int_equal(at_c.m.next.n, 0); /* until now it has not shown it, so the broker has looked */
        assert_int_equal(handoff_answer(conn, FDPASS_ANSWER_RETURN), 0);
        WAIT_FOR(has_event(conn, POLLIN));

        at_c.conn = conn;
        tell(&at_c, HEAD_C);
        fd_close(at_c.fd);
        conn = take_at_c(g, &at_c.fd, &is_told);
        assert_true(is_told);
        answer_at_c(conn, at_c.fd, FDPASS_ANSWER_TAKEN);
        fd_close(at_c.conn);
        g->m = at_c.m; /* the last message that is in @bytes */
}

/* The broker looks at a client that is told to it, unless the next worker compares. It answers none of these. */
static void test_told(void **state) {
        Given g = begin();
        bool is_told;
        char byte;
        int fd, conn;

        assert_int_equal(recv(g.fd, &(char[256]){}, 256, 0), sizeof(HEAD_A) - 1);
        show_that_c_compares(&g);
        for (int i = 0; i < 3; i++) {
                tell(&g, HEAD_C);
                conn = take_at_c(&g, &fd, &is_told);
                assert_true(is_told);
                answer_at_c(conn, fd, FDPASS_ANSWER_TAKEN);
        }
        assert_int_equal(recv(g.conn, &byte, 1, MSG_DONTWAIT), -1);
        end(&g);
}

/* Worker c does not compare, so a worker that lies loses its client. */
static void test_told_wrong(void **state) {
        Given g = begin();

        tell(&g, HEAD_C); /* it is HEAD_A */
        WAIT_FOR(n_gone() == 1);
        assert_int_equal(n_in_broker(), 0);
        assert_false(has_event(g.c, POLLIN));
        end(&g);
}

/* Such a client goes to no second worker, because nothing is known of what the first one did. */
static void expect_told_is_closed(uint8_t answer) {
        Given g = begin();
        bool is_told;
        int fd, conn;

        assert_int_equal(recv(g.fd, &(char[256]){}, 256, 0), sizeof(HEAD_A) - 1);
        show_that_c_compares(&g);
        tell(&g, HEAD_C);
        conn = take_at_c(&g, &fd, &is_told);
        assert_true(is_told);
        answer_at_c(conn, fd, answer);
        assert_false(has_event(g.c, POLLIN));
        fd_close(TAKE_FD(g.fd));
        WAIT_FOR(has_event(g.client, POLLIN)); /* its end: no answer of the broker */
        assert_true(recv(g.client, &(char){ 0 }, 1, MSG_DONTWAIT) <= 0);
        end(&g);
}

static void test_told_declined(void **state) {
        expect_told_is_closed(FDPASS_ANSWER_REFUSED);
}

static void test_told_rejected(void **state) {
        expect_told_is_closed(FDPASS_ANSWER_ERROR);
}

/* On the return socket itself anybody could tell anything. */
static void test_told_by_others(void **state) {
        Given g = begin();
        Message m = facts_of(&g);

        m.next = SLICE_LITERAL(HEAD_C);
        expect_answer(hand_back(TAKE_FD(g.fd), m), FDPASS_ANSWER_TAKEN);
        (void) take_message(g.a, HEAD_A);
        WAIT_FOR(n_in_broker() == 0);
        end(&g);
}

/* A worker that keeps each connection gets no more than its part of the descriptors. */
static void test_greedy(void **state) {
        enum { N = N_FDS / 8 + 8 };
        int a = listen_type_at("a", SOCK_SEQPACKET, 8), conns[N], n_ready = 0;

        assert_int_equal(handback_listen(t.broker, "return", listen_type_at("return", SOCK_SEQPACKET, 8)), 0);
        USE({ .unit = "a.socket", .worker = "a", .transport = TRANSPORT_SEQPACKET });
        for (size_t i = 0; i < N; i++) {
                int client = dial_and_say("public", 'x'), fd = -EBADF;
                uint8_t answer = 0;
                size_t n;

                WAIT_FOR(has_event(a, POLLIN));
                conns[i] = accept4(a, NULL, NULL, SOCK_CLOEXEC);
                assert_int_equal(handoff_receive_message(conns[i], 0, bytes, sizeof(bytes), &n, &fd), 0);
                assert_int_equal(handoff_answer(conns[i], FDPASS_ANSWER_RETURN), 0);
                WAIT_FOR(has_event(conns[i], POLLIN));
                n_ready += recv(conns[i], &answer, 1, MSG_DONTWAIT) == 1 && answer == FDPASS_ANSWER_RETURN;
                fd_close(fd);
                fd_close(client);
        }

        assert_in_range(n_ready, 1, N_FDS / 8);
        close_all(conns, N);
        fd_close(a);
}

/* A broker without a return socket has no listener for such clients: it closes the connection. */
static void test_no_return_socket(void **state) {
        int a = listen_type_at("a", SOCK_SEQPACKET, 8), client, conn, fd = -EBADF;
        char byte;
        size_t n;

        USE({ .unit = "a.socket", .worker = "a", .transport = TRANSPORT_SEQPACKET });
        client = dial_and_say("public", 'x');
        WAIT_FOR(has_event(a, POLLIN));
        conn = accept4(a, NULL, NULL, SOCK_CLOEXEC);
        assert_int_equal(handoff_receive_message(conn, 0, bytes, sizeof(bytes), &n, &fd), 0);
        assert_int_equal(handoff_answer(conn, FDPASS_ANSWER_RETURN), 0);
        WAIT_FOR(has_event(conn, POLLIN));
        assert_int_equal(recv(conn, &byte, 1, MSG_DONTWAIT), 0);

        fd_close(conn);
        fd_close(fd);
        fd_close(client);
        fd_close(a);
}

TEST_MAIN(BROKER_TEST(test_back),
          BROKER_TEST(test_forged),
          BROKER_TEST(test_told),
          BROKER_TEST(test_told_wrong),
          BROKER_TEST(test_told_declined),
          BROKER_TEST(test_told_rejected),
          BROKER_TEST(test_told_by_others),
          BROKER_TEST(test_greedy),
          BROKER_TEST(test_no_return_socket))
