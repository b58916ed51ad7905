/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Clients that come from other senders than workers: from another broker, and in the stream form. */

#include "handback-fixture.h"


static int teardown_both(void **state) {
        t.other = broker_free(t.other);
        return teardown(state);
}

static int listen_tcp(struct sockaddr_in *ret) {
        socklen_t len = sizeof(*ret);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        *ret = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        assert_int_equal(bind(fd, (struct sockaddr *) ret, sizeof(*ret)), 0);
        assert_int_equal(listen(fd, 8), 0);
        assert_int_equal(getsockname(fd, (struct sockaddr *) ret, &len), 0);
        return fd;
}

static int dial_tcp(const struct sockaddr_in *sin) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_int_equal(connect(fd, (const struct sockaddr *) sin, sizeof(*sin)), 0);
        return fd;
}

/* The first broker believes PROXY headers. */
static void use_proxied(const RouteSpec *spec) {
        Config *config = config_of(spec, 1);
        AddressRange *all = calloc(1, sizeof(*all));

        all->family = AF_INET;
        config->listener_default.proxy_protocol = PROXY_PROTOCOL_OPTIONAL;
        config->listener_default.trusted_proxies = all;
        config->listener_default.n_trusted_proxies = 1;
        assert_int_equal(broker_set_config(t.broker, config), 0);
}

static void start_other(const RouteSpec *spec) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;

        assert_int_equal(sd_event_new(&event), 0);
        assert_int_equal(broker_new(event, t.log, N_FDS, &t.other), 0);
        assert_int_equal(handback_listen(t.other, "return", listen_type_at("other", SOCK_SEQPACKET, 8)), 0);
        assert_int_equal(broker_set_config(t.other, config_of(spec, 1)), 0);
}

/* The second broker routes by its own units; what the first one found out, and is called, goes with the client. */
static void test_two_brokers(void **state) {
        int a = listen_type_at("a", SOCK_SEQPACKET, 8), client;
        struct sockaddr_in sin;
        char id[32];
        Message m;

        assert_int_equal(broker_add_listener(t.broker, "tcp", listen_tcp(&sin)), 0);
        use_proxied(&(RouteSpec){ .unit = "next.socket", .worker = "other", .path = "/a", .form = WORKER_SEQPACKET });
        start_other(&(RouteSpec){ .unit = "a.socket", .worker = "a", .host = "example.org", .form = WORKER_SEQPACKET });
        (void) snprintf(id, sizeof(id), "%08x-1", instance());

        client = dial_tcp(&sin);
        say(client, "PROXY TCP4 192.0.2.1 192.0.2.2 4711 80\r\n" HEAD_A);
        m = take_message(a, HEAD_A);
        assert_int_equal(m.source.in.sin_addr.s_addr, inet_addr("192.0.2.1"));
        assert_int_equal(m.destination.in.sin_addr.s_addr, inet_addr("192.0.2.2"));
        assert_true(slice_equal(m.unique_id, slice_from_string(id)));
        assert_true(slice_equal(m.route, SLICE_LITERAL("a.socket")));
        assert_true(slice_equal(m.listener, SLICE_LITERAL("return")));
        assert_int_equal(m.hops, 2);

        WAIT_FOR(n_in_broker() + other_n_in_broker() == 0);
        assert_int_equal(n_taken(), 1);
        assert_int_equal(other_n_taken(), 1);
        fd_close(client);
        fd_close(a);
}

/* Where the second broker has no room, the first one keeps the client, and has it answered in the end. */
static void test_other_is_full(void **state) {
        struct sockaddr_in sin;
        int client;

        assert_int_equal(broker_add_listener(t.broker, "tcp", listen_tcp(&sin)), 0);
        use_proxied(&(RouteSpec){ .unit = "next.socket", .worker = "other", .form = WORKER_SEQPACKET,
                                  .queue_timeout = 100 * USEC_PER_MSEC });
        start_other(&(RouteSpec){ .unit = "a.socket", .worker = "a" });
        set_other_max_clients(0);

        client = dial_tcp(&sin);
        say(client, HEAD_A);
        WAIT_FOR(n_refused(REFUSAL_TIMEOUT) == 1);
        assert_true(n_unread() > 0);
        fd_close(client);
}

/* Two brokers that point at each other notice, and the client is told. */
static void test_loop(void **state) {
        struct sockaddr_in sin;
        char answer[16] = "";
        int client;

        assert_int_equal(broker_add_listener(t.broker, "tcp", listen_tcp(&sin)), 0);
        assert_int_equal(handback_listen(t.broker, "return", listen_type_at("return", SOCK_SEQPACKET, 8)), 0);
        use_proxied(&(RouteSpec){ .unit = "next.socket", .worker = "other", .form = WORKER_SEQPACKET });
        start_other(&(RouteSpec){ .unit = "back.socket", .worker = "return", .form = WORKER_SEQPACKET });

        client = dial_tcp(&sin);
        say(client, HEAD_A);
        WAIT_FOR(has_event(client, POLLIN));
        assert_true(recv(client, answer, sizeof(answer) - 1, 0) > 0);
        assert_string_equal(answer, "HTTP/1.1 503 Se");
        assert_int_equal(n_returned() + other_n_returned(), FDPASS_HOPS_MAX);
        fd_close(client);
}

/* One that points at itself does not even begin. */
static void test_own_socket(void **state) {
        struct sockaddr_in sin;
        int client;

        assert_int_equal(broker_add_listener(t.broker, "tcp", listen_tcp(&sin)), 0);
        assert_int_equal(handback_listen(t.broker, "return-a", listen_type_at("return", SOCK_STREAM, 8)), 0);
        use_proxied(&(RouteSpec){ .unit = "self.socket", .worker = "return", .queue_timeout = 100 * USEC_PER_MSEC });

        client = dial_tcp(&sin);
        say(client, HEAD_A);
        WAIT_FOR(n_refused(REFUSAL_TIMEOUT) + n_refused(REFUSAL_WORKER_GONE) == 1);
        assert_int_equal(n_returned(), 0);
        fd_close(client);
}

/* Where Worker= alone says where, the form is found out: the other broker's socket is of another kind than usual. */
static void test_form_is_found(void **state) {
        static const int types[] = { SOCK_STREAM, SOCK_SEQPACKET };

        for (size_t i = 0; i < ELEMENTSOF(types); i++) {
                int a = listen_type_at("a", types[i], 8), client;
                Config *config = config_of(&(RouteSpec){ .unit = "a.socket", .worker = "a", .form = WORKER_SEQPACKET }, 1);

                config->routes[0].form_is_open = true;
                assert_int_equal(broker_set_config(t.broker, config), 0);
                client = dial_and_say("public", 'x');
                WAIT_FOR(has_event(a, POLLIN));
                fd_close(client);
                fd_close(a);
                WAIT_FOR(n_in_broker() == 0);
        }
}

/* What httpd's mod_proxy_fdpass does: the head was read, the answer begun, and the socket doesn't block. */
static int send_as_httpd(int fd) {
        char head[256];
        int conn;

        WAIT_FOR(has_event(fd, POLLIN));
        assert_true(recv(fd, head, sizeof(HEAD_A) - 1, 0) > 0);
        conn = connect_type("return", SOCK_STREAM);
        say(fd, "HTTP/1.1 200 OK\r\n\r\n");
        assert_int_equal(fd_nonblock(fd, true), 0);
        assert_int_equal(handoff_send(conn, fd), 0);
        fd_close(fd);
        return conn;
}

static void start_stream(void) {
        int fd = listen_type_at("return", SOCK_STREAM, 128);

        assert_int_equal(handback_listen(t.broker, "return-web", fd), 0);
        USE({ .unit = "a.socket", .worker = "a", .host = "example.org", .form = WORKER_SEQPACKET },
            { .unit = "b.socket", .worker = "b", .listener = "return-web", .form = WORKER_SEQPACKET });
}

/* It goes to the route that names the listener, at once, although others ask for a head; and it blocks again. */
static void test_stream(void **state) {
        int b = listen_type_at("b", SOCK_SEQPACKET, 8), client, fd, conn;

        start_stream();
        assert_false(listener_needs_head("return-web"));
        tcp_pair(&client, &fd);
        say(client, HEAD_A "body");
        conn = send_as_httpd(fd);
        fd_close(conn); /* httpd reads no answer */
        assert_true(slice_equal(take_message(b, "body").listener, SLICE_LITERAL("return-web")));
        WAIT_FOR(n_in_broker() == 0);
        fd_close(client);
        fd_close(b);
}

/* A sender that has read nothing: where no route names the listener, clients are routed by what they say. */
static void test_stream_with_head(void **state) {
        int a = listen_type_at("a", SOCK_SEQPACKET, 8), client, fd, conn;

        assert_int_equal(handback_listen(t.broker, "return-web", listen_type_at("return", SOCK_STREAM, 8)), 0);
        USE({ .unit = "a.socket", .worker = "a", .host = "example.org", .form = WORKER_SEQPACKET });
        tcp_pair(&client, &fd);
        say(client, HEAD_A);
        conn = connect_type("return", SOCK_STREAM);
        assert_int_equal(handoff_send(conn, fd), 0);
        fd_close(fd);
        (void) take_message(a, HEAD_A);
        expect_answer(conn, FDPASS_ANSWER_TAKEN);
        fd_close(client);
        fd_close(a);
}

/* Anything but the one byte and the one client is thrown away, with its connection. */
static void test_stream_garbage(void **state) {
        int client, fd, pair[2], conn;

        start_stream();
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        conn = connect_type("return", SOCK_STREAM);
        assert_int_equal(handoff_send(conn, pair[0]), 0);
        expect_answer(conn, FDPASS_ANSWER_ERROR);
        fd_close(pair[0]);
        fd_close(pair[1]);

        tcp_pair(&client, &fd);
        conn = connect_type("return", SOCK_STREAM);
        assert_int_equal(handoff_send_message(conn, SLICE_LITERAL("ab"), (Slice){}, fd), 0);
        expect_answer(conn, FDPASS_ANSWER_ERROR);
        fd_close(fd);
        fd_close(client);

        conn = connect_type("return", SOCK_STREAM);
        say(conn, "\n");
        expect_answer(conn, FDPASS_ANSWER_ERROR);
        assert_int_equal(n_in_broker(), 0);
}

/* With the table full, clients stay in their connections until there is room: their senders would not hear a no. */
static void test_stream_waits_for_room(void **state) {
        int b = listen_type_at("b", SOCK_SEQPACKET, 8), client, fd, conn;

        start_stream();
        set_max_clients(0);
        tcp_pair(&client, &fd);
        say(client, HEAD_A);
        conn = send_as_httpd(fd);
        while (broker_turn(t.broker, 0) > 0)
                ;
        assert_int_equal(n_returned(), 0);

        set_max_clients(8);
        (void) take_message(b, "");
        expect_answer(conn, FDPASS_ANSWER_TAKEN);
        fd_close(client);
        fd_close(b);
}

/* Connections that bring nothing take the places of others for a while only. */
static void test_silent_senders(void **state) {
        int b = listen_type_at("b", SOCK_SEQPACKET, 8), silent[80], client, fd, conn;

        start_stream();
        for (size_t i = 0; i < ELEMENTSOF(silent); i++)
                silent[i] = connect_type("return", SOCK_STREAM);
        tcp_pair(&client, &fd);
        say(client, HEAD_A);
        conn = send_as_httpd(fd);
        (void) take_message(b, "");

        fd_close(conn);
        for (size_t i = 0; i < ELEMENTSOF(silent); i++)
                fd_close(silent[i]);
        fd_close(client);
        fd_close(b);
}

#define CHAIN_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown_both)

TEST_MAIN(CHAIN_TEST(test_two_brokers),
          CHAIN_TEST(test_other_is_full),
          CHAIN_TEST(test_loop),
          CHAIN_TEST(test_own_socket),
          CHAIN_TEST(test_form_is_found),
          CHAIN_TEST(test_stream),
          CHAIN_TEST(test_stream_with_head),
          CHAIN_TEST(test_stream_garbage),
          CHAIN_TEST(test_stream_waits_for_room),
          CHAIN_TEST(test_silent_senders))
