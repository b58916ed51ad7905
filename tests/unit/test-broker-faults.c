/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What clients and workers did to the broker once, and must not do again. */

#include "broker-fixture.h"

#include <arpa/inet.h>


static void say(int fd, const char *text) {
        assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t) strlen(text));
}

static void run_for(usec_t span) {
        for (usec_t end = usec_now() + span; usec_now() < end;)
                assert_true(broker_turn(t.broker, end - MIN(usec_now(), end)) >= 0);
}

static struct sockaddr_in tcp;

static void add_tcp(const char *name) {
        struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t len = sizeof(sin);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_int_equal(bind(fd, (struct sockaddr *) &sin, sizeof(sin)), 0);
        assert_int_equal(listen(fd, 128), 0);
        assert_int_equal(getsockname(fd, (struct sockaddr *) &sin, &len), 0);
        assert_int_equal(broker_add_listener(t.broker, name, fd), 0);
        tcp = sin;
}

static int dial_tcp(void) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_int_equal(connect(fd, (struct sockaddr *) &tcp, sizeof(tcp)), 0);
        return fd;
}

/* Somebody else's connection, which takes a place in a worker's backlog. */
static int occupy(const char *name) {
        return dial(name);
}

static void close_all(int *fds, size_t n) {
        for (size_t i = 0; i < n; i++)
                fd_close(fds[i]);
}

static const RouteSpec by_host = { .unit = "a.socket", .worker = "a", .host = "example.org" };

static Config *config_by_host(void) {
        return config_of(&by_host, 1);
}

static void use(Config *config) {
        assert_int_equal(broker_set_config(t.broker, config), 0);
}

static void trust_everybody(Config *config, ProxyProtocol mode) {
        ListenerConfig *l = &config->listener_default;

        l->proxy_protocol = mode;
        l->trusted_proxies = calloc(1, sizeof(*l->trusted_proxies));
        l->trusted_proxies[0].family = AF_INET;
        l->n_trusted_proxies = 1;
}

/* A pool waits for a worker whose window another pool has filled; a reset there must not leave it asleep. */
static void test_shared_worker(void **state) {
        int a = listen_at("a", 64), b = listen_at("b", 64), first, second;

        assert_int_equal(broker_add_listener(t.broker, "other", listen_at("other", 8)), 0);
        USE({ .unit = "a1.socket", .worker = "a", .listener = "public", .max_pending = 1 },
            { .unit = "a2.socket", .worker = "b", .listener = "public", .max_pending = 1 },
            { .unit = "b.socket", .worker = "a", .listener = "other", .max_pending = 1 });

        first = dial("public");
        WAIT_FOR(has_event(a, POLLIN));
        second = dial_and_say("other", 'x');
        WAIT_FOR(n_accepted() == 2);

        fd_close(accept4(a, NULL, NULL, SOCK_CLOEXEC)); /* the first goes to b */
        assert_int_equal(take_byte(a), 'x');

        fd_close(first);
        fd_close(second);
        fd_close(a);
        fd_close(b);
}

/* The broker may end with clients in the queue of routes that were replaced. */
static void test_end_with_old_queue(void **state) {
        int worker = listen_at("a", 64), first, second;

        USE({ .unit = "a.socket", .worker = "a", .max_pending = 1 });
        first = dial("public");
        second = dial("public");
        WAIT_FOR(n_accepted() == 2);
        USE({ .unit = "a.socket", .worker = "a", .max_pending = 1 });

        fd_close(first);
        fd_close(second);
        fd_close(worker);
}

/* Those who linger after a refusal do not stop those who come, nor do they push anybody out. */
static void test_lingering_makes_room(void **state) {
        int worker = listen_at("a", 64), refused[100], client;
        Config *config = config_by_host();

        add_tcp("tcp");
        config->broker.max_clients = 32;
        use(config);
        for (size_t i = 0; i < ELEMENTSOF(refused); i++) {
                refused[i] = dial_tcp();
                say(refused[i], "GET / HTTP/1.1\r\nHost: nobody\r\n\r\n");
                (void) broker_turn(t.broker, 0);
        }
        WAIT_FOR(n_accepted() == ELEMENTSOF(refused));
        assert_false(is_paused());

        client = dial("public");
        say(client, "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n");
        assert_int_equal(take_byte(worker), 'G');

        close_all(refused, ELEMENTSOF(refused));
        fd_close(client);
        fd_close(worker);
}

/* Who is over the share of his address evicts nobody. */
static void test_over_share_evicts_nobody(void **state) {
        int worker = listen_at("a", 64), idle[50], greedy[40];
        Config *config = config_by_host();

        add_tcp("tcp");
        config->listener_default.max_clients_per_source = 1;
        config->listener_default.head_timeout_usec = 30 * USEC_PER_SEC;
        use(config);

        for (size_t i = 0; i < ELEMENTSOF(idle); i++) {
                idle[i] = dial("public");
                say(idle[i], "GET /");
        }
        WAIT_FOR(n_accepted() == ELEMENTSOF(idle));
        for (size_t i = 0; i < ELEMENTSOF(greedy); i++) {
                greedy[i] = dial_tcp();
                say(greedy[i], "GET /");
        }
        WAIT_FOR(n_accepted() == ELEMENTSOF(idle) + ELEMENTSOF(greedy));
        assert_int_equal(n_refused(REFUSAL_EVICTED), 0);
        assert_int_equal(n_refused(REFUSAL_SOURCE_FULL), ELEMENTSOF(greedy) - 1);

        close_all(idle, ELEMENTSOF(idle));
        close_all(greedy, ELEMENTSOF(greedy));
        fd_close(worker);
}

/* Behind a PROXY header a client may be silent, and a route may ask for nothing. */
static void test_silent_behind_proxy(void **state) {
        static const unsigned protocols[] = { PROTOCOL_SILENT, 0 };
        int worker = listen_at("a", 64);

        add_tcp("tcp");

        for (size_t i = 0; i < ELEMENTSOF(protocols); i++) {
                const RouteSpec spec = { .unit = "a.socket", .worker = "a", .protocols = protocols[i] };
                Config *config = config_of(&spec, 1);
                int client;

                trust_everybody(config, PROXY_PROTOCOL_REQUIRE);
                use(config);
                client = dial_tcp();
                say(client, "PROXY TCP4 192.0.2.1 192.0.2.2 1000 25\r\n");
                WAIT_FOR(has_event(worker, POLLIN));
                say(client, "x");
                assert_int_equal(take_byte(worker), 'x');
                fd_close(client);
        }

        fd_close(worker);
}

/* A client without the header that might have been there counts for its address. */
static void test_optional_proxy_is_counted(void **state) {
        int worker = listen_at("a", 64), clients[20];
        Config *config = config_by_host();

        add_tcp("tcp");
        trust_everybody(config, PROXY_PROTOCOL_OPTIONAL);
        config->listener_default.max_clients_per_source = 2;
        use(config);
        for (size_t i = 0; i < ELEMENTSOF(clients); i++) {
                clients[i] = dial_tcp();
                say(clients[i], "GET /");
        }
        WAIT_FOR(n_refused(REFUSAL_SOURCE_FULL) == ELEMENTSOF(clients) - 2);

        close_all(clients, ELEMENTSOF(clients));
        fd_close(worker);
}

/* A shorter time holds for those who come after the reload, and those who came before it keep theirs. */
static void test_shorter_head_timeout(void **state) {
        Config *config = config_by_host();
        int first, second;

        config->listener_default.head_timeout_usec = 60 * USEC_PER_SEC;
        use(config);
        first = dial("public");
        say(first, "GET ");
        WAIT_FOR(n_accepted() == 1);
        use(config_by_host());
        second = dial("public");
        say(second, "GET ");
        WAIT_FOR(n_refused(REFUSAL_HEAD_TIMEOUT) == 1);
        fd_close(second);
        WAIT_FOR(n_in_broker() == 1);

        fd_close(first);
}

/* A client that was handed out before hides nobody's deadline. */
static void test_deadlines_behind_reset(void **state) {
        int worker = listen_at("a", 64), other, first, second;
        usec_t start;

        USE({ .unit = "a.socket", .worker = "a", .max_pending = 1, .queue_timeout = 500 * USEC_PER_MSEC });
        first = dial("public");
        WAIT_FOR(n_accepted() == 1);
        second = dial("public");
        WAIT_FOR(n_accepted() == 2);
        start = usec_now();
        run_for(400 * USEC_PER_MSEC);

        fd_close(accept4(worker, NULL, NULL, SOCK_CLOEXEC));
        fd_close(worker);
        worker = listen_at("a", 0);
        other = occupy("a");

        WAIT_FOR(n_refused(REFUSAL_TIMEOUT) == 2);
        assert_true(usec_now() - start < 700 * USEC_PER_MSEC);

        fd_close(other);
        fd_close(first);
        fd_close(second);
        fd_close(worker);
}

/* A client whose time runs out in the backlog of a hanging worker is ended. The worker finds a socket at its end. */
static void test_time_with_hanging_worker(void **state) {
        int worker = listen_at("a", 64), first, second, conn, client;
        char byte;

        USE({ .unit = "a.socket", .worker = "a", .max_pending = 1, .queue_timeout = 300 * USEC_PER_MSEC });
        first = dial_and_say("public", '1');
        WAIT_FOR(n_accepted() == 1);
        second = dial_and_say("public", '2');
        WAIT_FOR(n_accepted() == 2);
        assert_int_equal(take_byte(worker), '1');
        WAIT_FOR(n_pending("a") == 1); /* the second, which has waited */
        WAIT_FOR(is_closed(second));
        WAIT_FOR(n_refused(REFUSAL_TIMEOUT) == 1);
        assert_int_equal(n_pending("a"), 1); /* it keeps its place there */

        conn = accept4(worker, NULL, NULL, SOCK_CLOEXEC);
        assert_int_equal(handoff_receive(conn, &client), 0);
        fd_close(conn);
        assert_int_equal(recv(client, &byte, 1, 0), 0);
        assert_true(send(client, &byte, 1, MSG_NOSIGNAL) < 0);
        WAIT_FOR(n_in_broker() == 0);
        assert_int_equal(n_pending("a"), 0);

        fd_close(client);
        fd_close(first);
        fd_close(second);
        fd_close(worker);
}

/* A worker that listens is there, also with a full backlog. */
static void test_full_is_not_gone(void **state) {
        int worker, other, client;

        USE({ .unit = "a.socket", .worker = "a" });
        client = dial("public");
        WAIT_FOR(n_accepted() == 1 && is_gone("a"));
        worker = listen_at("a", 0);
        other = occupy("a");
        WAIT_FOR(!is_gone("a"));
        run_for(1500 * USEC_PER_MSEC);
        assert_int_equal(n_refused(REFUSAL_WORKER_GONE), 0);

        fd_close(other);
        fd_close(client);
        fd_close(worker);
}

/* Clients that were reset do not keep a full queue full. */
static void test_dead_clients_in_queue(void **state) {
        struct linger reset = { .l_onoff = 1 };
        int worker = listen_at("a", 64), clients[5], last;

        add_tcp("tcp");
        USE({ .unit = "a.socket", .worker = "a", .max_pending = 1, .max_queued = 4 });
        for (size_t i = 0; i < ELEMENTSOF(clients); i++) {
                clients[i] = dial_tcp();
                assert_int_equal(setsockopt(clients[i], SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
        }
        WAIT_FOR(n_accepted() == ELEMENTSOF(clients));
        close_all(clients, ELEMENTSOF(clients));

        last = dial_tcp();
        WAIT_FOR(n_gone() == 4);
        assert_int_equal(n_refused(REFUSAL_QUEUE_FULL), 0);

        fd_close(last);
        fd_close(worker);
}

/* A half-sent head gets an answer when the broker stops, and does not hold it up. */
static void test_stop_with_head(void **state) {
        usec_t start = usec_now();
        Config *config = config_by_host();
        char buffer[64] = "";
        int client;

        add_tcp("tcp");
        config->listener_default.head_timeout_usec = 60 * USEC_PER_SEC;
        use(config);
        client = dial_tcp();
        say(client, "GET / HTTP/1.1\r\n");
        WAIT_FOR(n_accepted() == 1);

        broker_stop(t.broker);
        assert_int_equal(broker_run(t.broker), 0);
        assert_true(usec_now() - start < 2 * USEC_PER_SEC);
        assert_true(recv(client, buffer, sizeof(buffer) - 1, MSG_DONTWAIT) > 0);
        assert_non_null(startswith(buffer, "HTTP/1.1 503 "));

        fd_close(client);
}

/* Nor does a worker that takes nobody: its backlog is systemd's. */
static void test_stop_with_stuck_worker(void **state) {
        int worker = listen_at("a", 64), client;
        usec_t start;

        USE({ .unit = "a.socket", .worker = "a" });
        client = dial_and_say("public", 'x');
        WAIT_FOR(n_pending("a") == 1);

        start = usec_now();
        broker_stop(t.broker);
        assert_int_equal(broker_run(t.broker), 0);
        assert_true(usec_now() - start < 2 * USEC_PER_SEC);
        t.broker = broker_free(t.broker);

        t.event = sd_event_unref(t.event);
        assert_true(sd_event_new(&t.event) >= 0);
        assert_int_equal(take_byte(worker), 'x');
        fd_close(client);
        fd_close(worker);
}

/* MaxClients= raised by a reload lets those in who wait. */
static void test_reload_ends_pause(void **state) {
        const RouteSpec specs[] = { { .unit = "a.socket", .worker = "a", .listener = "public" },
                                    { .unit = "b.socket", .worker = "b", .listener = "tcp" } };
        int a = listen_at("a", 64), b = listen_at("b", 64), clients[10];
        Config *config = config_of(specs, 2);

        add_tcp("tcp");
        config->broker.max_clients = 4;
        use(config);
        for (size_t i = 0; i < ELEMENTSOF(clients); i++)
                clients[i] = i < 2 ? dial("public") : dial_tcp();
        WAIT_FOR(is_paused());
        use(config_of(specs, 2));
        WAIT_FOR(n_accepted() == ELEMENTSOF(clients));

        close_all(clients, ELEMENTSOF(clients));
        fd_close(a);
        fd_close(b);
}

/* What a worker says before it has looked is worth nothing. */
static void test_byte_is_no_receipt(void **state) {
        int worker = listen_at("a", 8), client, conn;

        USE({ .unit = "a.socket", .worker = "a" });
        client = dial_and_say("public", 'x');
        WAIT_FOR(has_event(worker, POLLIN));
        conn = accept4(worker, NULL, NULL, SOCK_CLOEXEC);
        say(conn, "!");
        fd_close(conn);
        assert_int_equal(take_byte(worker), 'x');

        fd_close(client);
        fd_close(worker);
}

/* A refused client of which it never became clear what it is gets our FIN. */
static void test_unclear_client_is_closed(void **state) {
        int client;

        add_tcp("tcp");
        use(config_by_host());
        client = dial_tcp();
        say(client, "GE");
        WAIT_FOR(is_closed(client));
        fd_close(client);
}

/* Heads that come byte by byte all the time leave their turn to listeners and timers. */
static void test_trickle_starves_nobody(void **state) {
        int worker = listen_at("a", 8), trickling[10], client;
        usec_t start;

        add_tcp("tcp");
        use(config_by_host());
        for (size_t i = 0; i < ELEMENTSOF(trickling); i++) {
                trickling[i] = dial_tcp();
                say(trickling[i], "GET /");
        }
        WAIT_FOR(n_accepted() == ELEMENTSOF(trickling));

        client = dial_tcp();
        say(client, "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n");
        start = usec_now();
        while (!has_event(worker, POLLIN)) {
                assert_true(usec_now() - start < 2 * USEC_PER_SEC);
                for (size_t i = 0; i < ELEMENTSOF(trickling); i++)
                        (void) !send(trickling[i], "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
                assert_true(broker_turn(t.broker, 0) >= 0);
        }
        assert_int_equal(take_byte(worker), 'G');

        close_all(trickling, ELEMENTSOF(trickling));
        fd_close(client);
        fd_close(worker);
}

/* What the broker says goes to stderr. */
static int log_to_pipe(int *ret_stderr) {
        int p[2];

        *ret_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
        assert_int_equal(pipe2(p, O_CLOEXEC | O_NONBLOCK), 0);
        assert_int_equal(dup2(p[1], STDERR_FILENO), STDERR_FILENO);
        fd_close(p[1]);
        log_set_level(t.log, LOG_WARNING);
        return p[0];
}

static void log_to_stderr(int pipe_fd, int stderr_fd) {
        log_set_level(t.log, LOG_EMERG);
        assert_int_equal(dup2(stderr_fd, STDERR_FILENO), STDERR_FILENO);
        fd_close(stderr_fd);
        fd_close(pipe_fd);
}

static void expect_line(int pipe_fd, const char *what) {
        char line[1024] = "";

        WAIT_FOR(has_event(pipe_fd, POLLIN));
        assert_true(read(pipe_fd, line, sizeof(line) - 1) > 0);
        if (!strstr(line, what))
                print_message("expected \"%s\", got: %s", what, line);
        assert_non_null(strstr(line, what));
        assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1); /* one line */
}

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

TEST_MAIN(BROKER_TEST(test_shared_worker),
          BROKER_TEST(test_end_with_old_queue),
          BROKER_TEST(test_lingering_makes_room),
          BROKER_TEST(test_over_share_evicts_nobody),
          BROKER_TEST(test_silent_behind_proxy),
          BROKER_TEST(test_optional_proxy_is_counted),
          BROKER_TEST(test_shorter_head_timeout),
          BROKER_TEST(test_deadlines_behind_reset),
          BROKER_TEST(test_time_with_hanging_worker),
          BROKER_TEST(test_full_is_not_gone),
          BROKER_TEST(test_dead_clients_in_queue),
          BROKER_TEST(test_stop_with_head),
          BROKER_TEST(test_stop_with_stuck_worker),
          BROKER_TEST(test_reload_ends_pause),
          BROKER_TEST(test_byte_is_no_receipt),
          BROKER_TEST(test_unclear_client_is_closed),
          BROKER_TEST(test_trickle_starves_nobody),
          BROKER_TEST(test_held_back_count))
