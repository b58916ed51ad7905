/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Lines of the log, and events for observers. */

#include "handback-fixture.h"

/* Refusals that no other one follows are told when the interval of their line is over, or the broker ends. */
static void test_held_back_count(void **state) {
        int worker = listen_at("a", 64), clients[8], stderr_fd, log = log_to_pipe(&stderr_fd);

        USE({ .unit = "a.socket", .worker = "a", .max_pending = 1, .max_queued = 1 });
        for (size_t i = 0; i < ELEMENTSOF(clients); i++) {
                clients[i] = dial("public");
                WAIT_FOR(n_accepted() == i + 1);

                if (i == 2) {
                        expect_line(log, "1 client was refused");
                        assert_false(holds_back_lines());
                        age_line_of_full_pool("a.socket", 9800 * USEC_PER_MSEC);
                } else if (i == 4) {
                        expect_line(log, "2 clients were refused");
                        assert_false(holds_back_lines());
                }
        }
        assert_true(holds_back_lines());
        assert_false(has_event(log, POLLIN));
        t.broker = broker_free(t.broker);
        expect_line(log, "3 clients were refused");

        log_to_stderr(log, stderr_fd);
        close_all(clients, ELEMENTSOF(clients));
        fd_close(worker);
}

/* The worker ends the next handoff and leaves its client unread. */
static void leave_unread(int worker) {
        uint64_t n = n_unread();

        WAIT_FOR(has_event(worker, POLLIN));
        fd_close(accept4(worker, NULL, NULL, SOCK_CLOEXEC));
        WAIT_FOR(n_unread() == n + 1);
}

/* A count that is held back survives the unit that it would be told of, as long as another one has the same worker. */
static void test_held_back_count_of_worker(void **state) {
        int worker = listen_at("a", 64), stderr_fd, log = log_to_pipe(&stderr_fd), client;

        USE({ .unit = "a.socket", .worker = "a" });
        client = dial_and_say("public", 'x');
        leave_unread(worker);
        expect_line(log, "a.socket: worker");
        leave_unread(worker);
        assert_true(holds_back_lines());
        assert_int_equal(take_byte(worker), 'x');
        WAIT_FOR(n_taken() == 1);

        USE({ .unit = "b.socket", .worker = "a" });
        assert_false(has_event(log, POLLIN));
        t.broker = broker_free(t.broker);
        expect_line(log, "with 1 client unread");

        log_to_stderr(log, stderr_fd);
        fd_close(client);
        fd_close(worker);
}

/* A pause whose line is held back ends with the broker, and the log says nothing of it. */
static void test_held_back_pause(void **state) {
        int a = listen_at("a", 64), b = listen_at("b", 64), clients[8], stderr_fd, log = log_to_pipe(&stderr_fd);

        assert_int_equal(broker_add_listener(t.broker, "other", listen_at("other", 128)), 0);
        USE({ .unit = "a.socket", .worker = "a", .listener = "public" },
            { .unit = "b.socket", .worker = "b", .listener = "other" });
        set_max_clients(4);
        for (size_t i = 0; i < ELEMENTSOF(clients); i++) {
                clients[i] = dial_and_say(i % 2 ? "other" : "public", 'x');
                WAIT_FOR(n_accepted() == i + 1);

                if (i == 3) {
                        assert_true(is_paused());
                        expect_line(log, "4 clients are in the broker");
                        for (size_t k = 0; k < 2; k++) {
                                assert_int_equal(take_byte(a), 'x');
                                assert_int_equal(take_byte(b), 'x');
                        }
                        WAIT_FOR(n_taken() == 4);
                }
        }
        assert_true(is_paused());
        assert_true(holds_back_lines());
        t.broker = broker_free(t.broker);
        assert_false(has_event(log, POLLIN));

        log_to_stderr(log, stderr_fd);
        close_all(clients, ELEMENTSOF(clients));
        fd_close(a);
        fd_close(b);
}

static struct {
        unsigned n[_EVENT_MAX];
} seen;

static void on_observed(void *userdata, EventKind kind, const Client *c, const Route *route) {
        seen.n[kind]++;
}

static void test_observer(void **state) {
        int a = listen_at("a", 16), client;

        memset(&seen, 0, sizeof(seen));
        USE({ .unit = "a.socket", .worker = "a" });
        observe(on_observed);

        client = dial_and_say("public", 'x');
        assert_int_equal(take_byte(a), 'x');
        WAIT_FOR(seen.n[EVENT_TAKEN] == 1);
        fd_close(client);
        fd_close(a);

        client = dial_and_say("public", 'y');
        WAIT_FOR(seen.n[EVENT_REFUSED] == 1);
        assert_int_equal(seen.n[EVENT_WORKER_GONE], 1);
        fd_close(client);
}

/* Clients refused for their number: a line with the limit, their number, and their address if all have the same one. */
static void test_limit_of_source(void **state) {
        int worker = listen_at("a", 64), clients[5], stderr_fd, log = log_to_pipe(&stderr_fd);

        add_tcp("tcp");
        t.max_per_source = 2;
        USE({ .unit = "a.socket", .worker = "a", .host = "example.org" });
        for (size_t i = 0; i < ELEMENTSOF(clients); i++) {
                clients[i] = connect_tcp();
                WAIT_FOR(n_accepted() == i + 1);
        }
        expect_line(log, "Listener tcp: 1 client was refused: the address of the client has MaxClientsPerSource= clients in "
                         "the broker (source-full), 2 are allowed; it came from 127.0.0.1.");
        t.broker = broker_free(t.broker);
        expect_line(log, "2 are allowed; all came from 127.0.0.1.");

        log_to_stderr(log, stderr_fd);
        close_all(clients, ELEMENTSOF(clients));
        fd_close(worker);
}

static void expect_refusal(int log, const char *bytes, const char *line) {
        int client = connect_tcp();

        say(client, bytes);
        expect_line(log, line);
        fd_close(client);
}

/* Each refusal has a sentence in the log, also with LogHandoffs=no. */
static void test_sentences(void **state) {
        const RouteSpec spec = { .unit = "a.socket", .worker = "a", .host = "example.org" };
        Config *config = config_of(&spec, 1);
        int stderr_fd, log = log_to_pipe(&stderr_fd);

        log_set_level(t.log, LOG_NOTICE);
        add_tcp("tcp");
        use_config(config);
        expect_refusal(log, "GET / HTTP/1.1\r\nHost: other.example\r\n\r\n",
                       "1 client was refused: no route has the host of the client in Host= (no-such-host); it came from 127.");
        expect_refusal(log, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
                       "1 client was refused: the request has more than one Host field (http-two-hosts)");
        expect_refusal(log, "PROXY TCP4 192.0.2.1 192.0.2.2 1000 25\r\n",
                       "1 client was refused: a PROXY header came from an address that TrustedProxies= does not have");

        config = config_of(&spec, 1);
        trust_all_proxies(config, PROXY_PROTOCOL_REQUIRE);
        use_config(config);
        expect_refusal(log, "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n",
                       "1 client was refused: a PROXY header is required here, and the client sent none (proxy-missing)");

        config = config_of(&spec, 1);
        config->listener_default.proxy_protocol = PROXY_PROTOCOL_REQUIRE;
        use_config(config);
        expect_refusal(log, "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n",
                       "1 client was refused: ProxyProtocol=require takes clients from TrustedProxies= only (untrusted)");
        log_to_stderr(log, stderr_fd);
}

/* A client that a worker leaves unread again and again is one client. */
static void test_unread_client_counts_once(void **state) {
        int worker = listen_at("a", 64), stderr_fd, log = log_to_pipe(&stderr_fd), client;

        USE({ .unit = "a.socket", .worker = "a" });
        client = dial_and_say("public", 'x');
        leave_unread(worker);
        expect_line(log, "went away with 1 client unread; they");
        for (size_t i = 0; i < 3; i++)
                leave_unread(worker);
        assert_int_equal(take_byte(worker), 'x');
        WAIT_FOR(n_taken() == 1);
        t.broker = broker_free(t.broker);
        expect_line(log, "went away with 1 client unread, in 3 attempts");

        log_to_stderr(log, stderr_fd);
        fd_close(client);
        fd_close(worker);
}

/* Parked clients that a limit ends, and clients for which there is no place when they are handed back, have a line. */
static void test_limits_of_returns(void **state) {
        int first, second, fd, stderr_fd, log = log_to_pipe(&stderr_fd);

        log_set_level(t.log, LOG_NOTICE);
        start_handback(listen_type_at("return", SOCK_SEQPACKET, 8));
        set_max_parked(1);
        tcp_pair(&first, &fd);
        expect_answer(hand_back(fd, MESSAGE_NULL), FDPASS_ANSWER_TAKEN);
        WAIT_FOR(n_parked() == 1);
        tcp_pair(&second, &fd);
        expect_answer(hand_back(fd, MESSAGE_NULL), FDPASS_ANSWER_TAKEN);
        expect_line(log, "1 parked client was ended, because MaxParked= is reached.");
        fd_close(first);

        set_max_clients(0);
        tcp_pair(&first, &fd);
        expect_answer(hand_back(fd, MESSAGE_NULL), FDPASS_ANSWER_REFUSED);
        expect_line(log, "1 client was handed back by workers, and not taken: MaxClients= is reached.");

        log_to_stderr(log, stderr_fd);
        fd_close(first);
        fd_close(second);
}

/* The worker has read the request before its receipt comes, and the log has it nevertheless. */
static void test_request(void **state) {
        int a = listen_type_at("a", SOCK_SEQPACKET, 8), fd, stderr_fd, log = log_to_pipe(&stderr_fd);
        const RouteSpec spec = { .unit = "a.socket", .worker = "a", .transport = TRANSPORT_SEQPACKET, .protocols = 1U << PROBE_HTTP };
        Config *config = config_of(&spec, 1);

        config->broker.log_handoffs = LOG_HANDOFFS_YES;
        log_set_level(t.log, LOG_INFO);
        use_config(config);

        fd = dial("public");
        say(fd, "GET /p?q=secret HTTP/1.1\r\nHost: h.example\r\n\r\n");
        (void) take_message(a, "GET /p?q=secret HTTP/1.1\r\nHost: h.example\r\n\r\n");
        expect_line(log, "on public: taken by a.socket (GET h.example/p).");

        log_to_stderr(log, stderr_fd);
        fd_close(fd);
        fd_close(a);
}

/* The log and the counters tell a client's next request apart from a new client, and from one that a worker passes on. */
static void test_rerouted(void **state) {
        int a = listen_type_at("a", SOCK_SEQPACKET, 8), b = listen_type_at("b", SOCK_SEQPACKET, 8);
        int next, named, fresh, fd, stderr_fd, log = log_to_pipe(&stderr_fd);
        const RouteSpec specs[] = {
                { .unit = "a.socket", .worker = "a", .transport = TRANSPORT_SEQPACKET },
                { .unit = "b.socket", .worker = "b", .transport = TRANSPORT_SEQPACKET, .name = "stream" },
        };
        Config *config = config_of(specs, ELEMENTSOF(specs));

        assert_int_equal(handback_listen(t.broker, "return", listen_type_at("return", SOCK_SEQPACKET, 8)), 0);
        config->listener_default.max_clients_per_source = 1000;
        config->broker.log_handoffs = LOG_HANDOFFS_YES;
        log_set_level(t.log, LOG_INFO);
        use_config(config);

        fresh = dial_and_say("public", 'x');
        (void) take_message(a, "x");
        expect_line(log, "on public: taken by a.socket.");

        tcp_pair(&next, &fd);
        expect_answer(hand_back(fd, MESSAGE_NULL), FDPASS_ANSWER_TAKEN);
        WAIT_FOR(n_parked() == 1);
        say(next, HEAD_A);
        (void) take_message(a, HEAD_A);
        expect_line(log, "on public: rerouted, taken by a.socket.");

        tcp_pair(&named, &fd);
        expect_answer(hand_back(fd, (Message){ .name = SLICE_LITERAL("stream"), .deadline = MESSAGE_NO_DEADLINE }),
                      FDPASS_ANSWER_TAKEN);
        (void) take_message(b, "");
        expect_line(log, "on public: taken by b.socket.");

        assert_int_equal(route_n_taken("a.socket"), 2);
        assert_int_equal(route_n_rerouted("a.socket"), 1);
        assert_int_equal(worker_n_rerouted("a"), 1);
        assert_int_equal(worker_n_rerouted("b"), 0);

        log_to_stderr(log, stderr_fd);
        close_all((int[]){ fresh, next, named, a, b }, 5);
}

TEST_MAIN(BROKER_TEST(test_request), BROKER_TEST(test_rerouted),
          BROKER_TEST(test_held_back_count),
          BROKER_TEST(test_held_back_count_of_worker),
          BROKER_TEST(test_held_back_pause),
          BROKER_TEST(test_limit_of_source),
          BROKER_TEST(test_sentences),
          BROKER_TEST(test_unread_client_counts_once),
          BROKER_TEST(test_limits_of_returns),
          BROKER_TEST(test_observer))
