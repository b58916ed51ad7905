/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Clients that come back to the broker, and those that it gives to the process after it. */

#include "handback-fixture.h"

static uint8_t bytes[FDPASS_MESSAGE_MAX]; /* read by a worker */

static void start(int return_fd) {
        assert_int_equal(handback_listen(t.broker, "return", return_fd), 0);
        t.max_per_source = t.max_per_source ?: 1000;
        USE({ .unit = "a.socket", .worker = "a", .host = "example.org", .path = "/a", .form = WORKER_SEQPACKET },
            { .unit = "b.socket", .worker = "b", .form = WORKER_SEQPACKET, .name = "stream" });
}

static void next_process_with(int return_fd, size_t n_fds) {
        t.broker = broker_free(t.broker);
        t.event = sd_event_unref(t.event);
        assert_true(sd_event_new(&t.event) >= 0);
        assert_int_equal(broker_new(t.event, t.log, n_fds, &t.broker), 0);
        if (t.helper)
                assert_int_equal(broker_set_helper(t.broker, t.helper), 0);
        assert_int_equal(broker_add_listener(t.broker, "public", listen_at("public", 8)), 0);
        start(return_fd);
}

static void next_process(int return_fd) {
        next_process_with(return_fd, N_FDS);
}

/* A kept-alive client waits for its next request, which is routed as if it were the first. */
static void test_park(void **state) {
        int a = listen_type_at("a", SOCK_SEQPACKET, 8), client, fd, conn;

        start(listen_type_at("return", SOCK_SEQPACKET, 8));
        tcp_pair(&client, &fd);
        conn = hand_back(fd, MESSAGE_NULL);
        expect_answer(conn, FDPASS_ANSWER_TAKEN);
        WAIT_FOR(n_parked() == 1);

        say(client, HEAD_A);
        (void) take_message(a, HEAD_A);
        WAIT_FOR(n_in_broker() == 0);
        assert_int_equal(n_parked(), 0);

        fd_close(client);
        fd_close(a);
}

/* A parked client may leave, and its time is limited. */
static void test_park_ends(void **state) {
        int first, second, fd;

        start(listen_type_at("return", SOCK_SEQPACKET, 8));
        set_park_timeout(100 * USEC_PER_MSEC);

        tcp_pair(&first, &fd);
        expect_answer(hand_back(fd, MESSAGE_NULL), FDPASS_ANSWER_TAKEN);
        fd_close(first);
        WAIT_FOR(n_in_broker() == 0);

        tcp_pair(&second, &fd);
        expect_answer(hand_back(fd, MESSAGE_NULL), FDPASS_ANSWER_TAKEN);
        WAIT_FOR(is_closed(second));
        fd_close(second);
}

/* A worker sends the client on to another one, with what it has to say and what it has read. */
static void test_named_route(void **state) {
        int b = listen_type_at("b", SOCK_SEQPACKET, 8), client, fd;
        Message m = MESSAGE_NULL;

        start(listen_type_at("return", SOCK_SEQPACKET, 8));
        tcp_pair(&client, &fd);
        say(client, "rest");
        m.name = SLICE_LITERAL("stream");
        m.data = SLICE_LITERAL("user=42");
        m.consumed = SLICE_LITERAL(HEAD_A);
        expect_answer(hand_back(fd, m), FDPASS_ANSWER_TAKEN);

        m = take_message(b, "rest");
        assert_true(slice_equal(m.data, SLICE_LITERAL("user=42")));
        assert_true(slice_equal(m.consumed, SLICE_LITERAL(HEAD_A)));
        assert_true(slice_equal(m.authority, SLICE_LITERAL("example.org")));
        assert_true(slice_equal(m.route, SLICE_LITERAL("b.socket")));
        assert_int_equal(m.name.n, 0);
        WAIT_FOR(n_in_broker() == 0);

        fd_close(client);
        fd_close(b);
}

/* Reads the whole message at @conn, with the client's socket. */
static int receive_on(int conn) {
        int client = -EBADF;
        size_t n;

        assert_int_equal(handoff_receive_message(conn, 0, bytes, sizeof(bytes), &n, &client), 0);
        return client;
}

/*
 * What the first worker did with the client does not count against the next: if that one refuses it, or dies, it goes
 * to another worker; not so if it has written to it.
 */
static void test_untouched_by_next(void **state) {
        int b = listen_type_at("b", SOCK_SEQPACKET, 8), client, fd, conn;
        Message m = MESSAGE_NULL;

        assert_int_equal(handback_listen(t.broker, "return", listen_type_at("return", SOCK_SEQPACKET, 8)), 0);
        USE({ .unit = "b.socket", .worker = "b", .form = WORKER_SEQPACKET, .name = "stream", .receipt = RECEIPT_BY_ACK });
        tcp_pair(&client, &fd);
        say(client, HEAD_A);
        assert_int_equal(recv(fd, bytes, sizeof(bytes), 0), sizeof(HEAD_A) - 1);
        say(fd, "HTTP/1.1 100 Continue\r\n\r\n");
        m.name = SLICE_LITERAL("stream");
        m.consumed = SLICE_LITERAL(HEAD_A);
        expect_answer(hand_back(fd, m), FDPASS_ANSWER_TAKEN);

        for (unsigned i = 0; i < 3; i++) {
                WAIT_FOR(has_event(b, POLLIN));
                conn = accept4(b, NULL, NULL, SOCK_CLOEXEC);
                fd = receive_on(conn);
                if (i == 0)
                        handoff_answer(conn, FDPASS_ANSWER_REFUSED);
                else if (i == 2)
                        say(fd, "HTTP/1.1 200 OK\r\n");
                fd_close(fd);
                fd_close(conn);
        }

        WAIT_FOR(n_in_broker() == 0);
        assert_int_equal(n_unread(), 2);
        assert_false(has_event(b, POLLIN));
        fd_close(client);
        fd_close(b);
}

/* A name that no route has is answered to the client; no other route gets it. */
static void test_unknown_name(void **state) {
        int a = listen_type_at("a", SOCK_SEQPACKET, 8), client, fd;
        Message m = MESSAGE_NULL;

        start(listen_type_at("return", SOCK_SEQPACKET, 8));
        tcp_pair(&client, &fd);
        say(client, HEAD_A);
        m.name = SLICE_LITERAL("nobody");
        expect_answer(hand_back(fd, m), FDPASS_ANSWER_TAKEN);
        WAIT_FOR(has_event(client, POLLIN));
        assert_int_equal(n_refused(REFUSAL_NO_ROUTE), 1);

        fd_close(client);
        fd_close(a);
}

/* What is no client, or no message, is refused, and nothing of it stays open. */
static void test_refuses_wrong_ones(void **state) {
        int pair[2], conn;

        start(listen_type_at("return", SOCK_SEQPACKET, 8));

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        expect_answer(hand_back(pair[0], MESSAGE_NULL), FDPASS_ANSWER_ERROR);
        fd_close(pair[1]);

        conn = connect_return();
        assert_int_equal(handoff_send_message(conn, SLICE_LITERAL("garbage"), (Slice){}, STDERR_FILENO), 0);
        expect_answer(conn, FDPASS_ANSWER_ERROR);

        conn = connect_return();
        say(conn, "no descriptor");
        expect_answer(conn, FDPASS_ANSWER_ERROR);
        assert_int_equal(n_in_broker(), 0);
}

/* MaxParked= holds: the source with the most parked clients gives up its oldest one. */
static void test_max_parked(void **state) {
        int first, second, fd;

        start(listen_type_at("return", SOCK_SEQPACKET, 8));
        set_max_parked(1);
        tcp_pair(&first, &fd);
        expect_answer(hand_back(fd, MESSAGE_NULL), FDPASS_ANSWER_TAKEN);
        WAIT_FOR(n_parked() == 1); /* the helper looks at each, in any order */
        tcp_pair(&second, &fd);
        expect_answer(hand_back(fd, MESSAGE_NULL), FDPASS_ANSWER_TAKEN);
        WAIT_FOR(is_closed(first));
        assert_int_equal(n_parked(), 1);
        assert_false(is_closed(second));

        fd_close(first);
        fd_close(second);
}

/* A source that has its share in parked clients gives up the oldest of them for a new client, and for one that comes back. */
static void test_share_of_source(void **state) {
        struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t len = sizeof(sin);
        int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), clients[4], newcomer, fd;

        assert_int_equal(bind(tcp, (struct sockaddr *) &sin, len), 0);
        assert_int_equal(listen(tcp, 8), 0);
        assert_int_equal(getsockname(tcp, (struct sockaddr *) &sin, &len), 0);
        assert_int_equal(broker_add_listener(t.broker, "tcp", tcp), 0);

        t.max_per_source = 3;
        start(listen_type_at("return", SOCK_SEQPACKET, 8));
        for (size_t i = 0; i < ELEMENTSOF(clients); i++) {
                tcp_pair(&clients[i], &fd);
                expect_answer(hand_back(fd, MESSAGE_NULL), FDPASS_ANSWER_TAKEN);
                WAIT_FOR(n_returned() == i + 1 && !is_judging());
        }
        WAIT_FOR(is_closed(clients[0]));
        assert_int_equal(n_parked(), 3);

        newcomer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(newcomer, (struct sockaddr *) &sin, sizeof(sin)), 0);
        WAIT_FOR(is_closed(clients[1]));
        assert_int_equal(n_refused(REFUSAL_SOURCE_FULL), 0);
        assert_false(is_closed(newcomer) || is_closed(clients[2]));

        fd_close(newcomer);
        for (size_t i = 0; i < ELEMENTSOF(clients); i++)
                fd_close(clients[i]);
}

/* Half a head, a parked client, and one for whom no worker had room: all are served by the next process. */
static void test_next_process(void **state) {
        int return_fd = listen_type_at("return", SOCK_SEQPACKET, 8), a = listen_type_at("a", SOCK_SEQPACKET, 0);
        int parked, half, waiting, fd, other, again = fcntl(return_fd, F_DUPFD_CLOEXEC, 3);

        start(return_fd);
        retry_now("a");

        tcp_pair(&parked, &fd);
        expect_answer(hand_back(fd, MESSAGE_NULL), FDPASS_ANSWER_TAKEN);
        tcp_pair(&half, &fd);
        say(half, "GET /a HTTP/1.1\r\n");
        expect_answer(hand_back(fd, MESSAGE_NULL), FDPASS_ANSWER_TAKEN);

        other = connect_type("a", SOCK_SEQPACKET); /* the only place in the worker's backlog */
        tcp_pair(&waiting, &fd);
        say(waiting, HEAD_A);
        expect_answer(hand_back(fd, MESSAGE_NULL), FDPASS_ANSWER_TAKEN);
        WAIT_FOR(queued("a.socket") + queued("b.socket") == 1);
        WAIT_FOR(n_parked() == 1);

        WAIT_FOR(n_returned() == 3 && !is_judging());
        broker_stop(t.broker);
        assert_int_equal(n_passed_on(), 3);
        assert_int_equal(n_in_broker(), 0);
        next_process(again);

        fd_close(accept4(a, NULL, NULL, SOCK_CLOEXEC));
        fd_close(other);
        (void) take_message(a, HEAD_A); /* the one that waited */
        say(half, "Host: example.org\r\n\r\n");
        (void) take_message(a, "GET /a HTTP/1.1\r\nHost: example.org\r\n\r\n");
        say(parked, HEAD_A);
        (void) take_message(a, HEAD_A);
        WAIT_FOR(n_in_broker() == 0);

        fd_close(parked);
        fd_close(half);
        fd_close(waiting);
        fd_close(a);
}

/* So many that a backlog of connections as large as they are by default would not take them. */
static void test_many_for_next_process(void **state) {
        int return_fd = listen_type_at("return", SOCK_SEQPACKET, 0), again = fcntl(return_fd, F_DUPFD_CLOEXEC, 3);
        int clients[400], fd;

        next_process_with(return_fd, 8 * ELEMENTSOF(clients));
        for (size_t i = 0; i < ELEMENTSOF(clients); i++) {
                tcp_pair(&clients[i], &fd);
                expect_answer(hand_back(fd, MESSAGE_NULL), FDPASS_ANSWER_TAKEN);
        }

        WAIT_FOR(n_parked() == ELEMENTSOF(clients));
        broker_stop(t.broker);
        assert_int_equal(n_passed_on(), ELEMENTSOF(clients));
        next_process_with(again, 8 * ELEMENTSOF(clients));
        WAIT_FOR(n_parked() == ELEMENTSOF(clients));

        for (size_t i = 0; i < ELEMENTSOF(clients); i++)
                fd_close(clients[i]);
        WAIT_FOR(n_in_broker() == 0);
}

static int send_on(int conn, int fd, Slice consumed) {
        uint8_t header[FDPASS_HEADER_MAX];
        Message m = MESSAGE_NULL;
        size_t n;

        m.listener = SLICE_LITERAL("public");
        m.name = SLICE_LITERAL("stream");
        assert_int_equal(message_encode(&m, header, sizeof(header), &n), 0);
        return handoff_send_message(conn, (Slice){ header, n }, consumed, fd);
}

/*
 * While the broker waits for a receipt, workers hand back as before: the one who owes the receipt may be waiting for
 * the answer to that. All goes to the next process, however much was consumed of it. On a connection that it closes
 * nothing is lost: its sender is told.
 */
static void test_while_stopping(void **state) {
        static const uint8_t consumed[FDPASS_CONSUMED_MAX] = "GET / HTTP/1.1\r\n\r\n";
        int return_fd = listen_type_at("return", SOCK_SEQPACKET, 8), again = fcntl(return_fd, F_DUPFD_CLOEXEC, 3);
        int a = listen_type_at("a", SOCK_SEQPACKET, 8), waiting, conn, clients[20], fd;

        start(return_fd);
        tcp_pair(&waiting, &fd);
        say(waiting, HEAD_A);
        expect_answer(hand_back(fd, MESSAGE_NULL), FDPASS_ANSWER_TAKEN);
        WAIT_FOR(awaits_receipts());

        broker_stop(t.broker);
        conn = connect_return();
        for (size_t i = 0; i < ELEMENTSOF(clients); i++) {
                uint8_t answer = 0;

                tcp_pair(&clients[i], &fd);
                assert_int_equal(send_on(conn, fd, (Slice){ consumed, sizeof(consumed) }), 0);
                fd_close(fd);
                if (i == ELEMENTSOF(clients) - 1)
                        break; /* this one is still in the socket when the broker ends */
                WAIT_FOR(has_event(conn, POLLIN));
                assert_int_equal(recv(conn, &answer, 1, MSG_DONTWAIT), 1);
                assert_int_equal(answer, FDPASS_ANSWER_TAKEN);
        }

        (void) take_message(a, HEAD_A);
        WAIT_FOR(sd_event_get_state(t.event) == SD_EVENT_EXITING || n_in_broker() == 0);
        assert_int_equal(n_passed_on(), ELEMENTSOF(clients));
        assert_int_equal(send_on(conn, waiting, (Slice){}), -EPIPE);
        fd_close(conn);

        next_process(again);
        WAIT_FOR(n_returned() == ELEMENTSOF(clients));

        for (size_t i = 0; i < ELEMENTSOF(clients); i++)
                fd_close(clients[i]);
        fd_close(waiting);
        fd_close(a);
}

/* What a TLS stage has learned, and the client's own name, outlive the way through the broker; HOPS tells new ones. */
static void test_facts_travel(void **state) {
        int b = listen_type_at("b", SOCK_SEQPACKET, 8), client, fd;
        Message m = MESSAGE_NULL;

        start(listen_type_at("return", SOCK_SEQPACKET, 8));
        tcp_pair(&client, &fd);
        m.name = SLICE_LITERAL("stream");
        m.ssl = SLICE_LITERAL("\1\0\0\0\0");
        m.alpn = SLICE_LITERAL("h2");
        m.authority = SLICE_LITERAL("tls.example");
        m.unique_id = SLICE_LITERAL("somebody else's");
        expect_answer(hand_back(fd, m), FDPASS_ANSWER_TAKEN);
        m = take_message(b, "");
        assert_true(slice_equal(m.ssl, SLICE_LITERAL("\1\0\0\0\0")));
        assert_true(slice_equal(m.alpn, SLICE_LITERAL("h2")));
        assert_true(slice_equal(m.authority, SLICE_LITERAL("tls.example")));
        assert_true(slice_equal(m.unique_id, SLICE_LITERAL("somebody else's")));
        assert_int_equal(m.hops, 1);
        fd_close(client);

        tcp_pair(&client, &fd);
        m = MESSAGE_NULL;
        m.unique_id = SLICE_LITERAL("0000abcd-17");
        m.name = SLICE_LITERAL("stream");
        expect_answer(hand_back(fd, m), FDPASS_ANSWER_TAKEN);
        assert_true(slice_equal(take_message(b, "").unique_id, SLICE_LITERAL("0000abcd-17")));
        fd_close(client);

        tcp_pair(&client, &fd);
        m = MESSAGE_NULL;
        m.hops = 1;
        expect_answer(hand_back(fd, m), FDPASS_ANSWER_TAKEN);
        assert_int_equal(n_parked(), 0);
        assert_int_equal(n_in_broker(), 1);
        WAIT_FOR(n_refused(REFUSAL_HEAD_TIMEOUT) == 1);
        fd_close(client);
        fd_close(b);
}

/* Without a free descriptor the client stays where it is, and nobody turns. */
static void test_no_descriptor(void **state) {
        int return_fd = listen_type_at("return", SOCK_SEQPACKET, 8), client, fd, conn, n_turns = 0;
        struct rlimit limit, none;

        start(return_fd);
        tcp_pair(&client, &fd);
        conn = connect_return();
        WAIT_FOR(!has_event(return_fd, POLLIN));

        assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
        none = (struct rlimit){ .rlim_cur = 3, .rlim_max = limit.rlim_max };
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        send_back(conn, fd, MESSAGE_NULL);
        while (broker_turn(t.broker, 0) > 0)
                assert_true(++n_turns < 10);
        assert_int_equal(n_in_broker(), 0);

        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        expect_answer(conn, FDPASS_ANSWER_TAKEN);
        fd_close(client);
}

/* A parked client holds one descriptor, so there may be more of them than clients on their way. */
static void test_many_parked(void **state) {
        int clients[100], fd;

        start(listen_type_at("return", SOCK_SEQPACKET, 8));
        assert_true(max_clients() < ELEMENTSOF(clients));
        assert_int_equal(broker_room(t.broker), max_clients());
        set_max_parked(ELEMENTSOF(clients));
        for (size_t i = 0; i < ELEMENTSOF(clients); i++) {
                tcp_pair(&clients[i], &fd);
                expect_answer(hand_back(fd, MESSAGE_NULL), FDPASS_ANSWER_TAKEN);
                WAIT_FOR(helper_n_pending(t.helper) == 0); /* what is open yet takes room */
        }
        WAIT_FOR(n_parked() == ELEMENTSOF(clients));
        WAIT_FOR(helper_n_pending(t.helper) == 0);
        assert_int_equal(broker_room(t.broker), (n_fds() - ELEMENTSOF(clients)) / 2);

        for (size_t i = 0; i < ELEMENTSOF(clients); i++)
                fd_close(clients[i]);
        WAIT_FOR(n_in_broker() == 0);
}

TEST_MAIN(BROKER_TEST(test_park),
          BROKER_TEST(test_park_ends),
          BROKER_TEST(test_named_route),
          BROKER_TEST(test_untouched_by_next),
          BROKER_TEST(test_unknown_name),
          BROKER_TEST(test_max_parked),
          BROKER_TEST(test_share_of_source),
          BROKER_TEST(test_many_parked),
          BROKER_TEST(test_refuses_wrong_ones),
          BROKER_TEST(test_next_process),
          BROKER_TEST(test_many_for_next_process),
          BROKER_TEST(test_while_stopping),
          BROKER_TEST(test_facts_travel),
          BROKER_TEST(test_no_descriptor))
