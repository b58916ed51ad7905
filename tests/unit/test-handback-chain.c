/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Clients that another broker hands to this one. */

#include "handback-fixture.h"

static int teardown_both(void **state) {
        t.other = broker_free(t.other);
        return teardown(state);
}

/* The first broker believes PROXY headers. */
static void use_proxied(const RouteSpec *spec) {
        Config *config = config_of(spec, 1);

        trust_all_proxies(config, PROXY_PROTOCOL_OPTIONAL);
        use_config(config);
}

static void start_other(const RouteSpec *spec) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;

        assert_int_equal(sd_event_new(&event), 0);
        assert_int_equal(broker_new(event, t.log, N_FDS, &t.other), 0);
        assert_int_equal(handback_listen(t.other, "return", listen_type_at("other", SOCK_SEQPACKET, 8)), 0);
        assert_int_equal(broker_set_config(t.other, config_of(spec, 1)), 0);
}

#define CHAIN_TEST(f) cmocka_unit_test_setup_teardown(f, setup_tcp, teardown_both)

/* The second broker routes by its own units; what the first one found out, and is called, goes with the client. */
static void test_two_brokers(void **state) {
        int a = listen_type_at("a", SOCK_SEQPACKET, 8), client;
        char id[32];
        Message m;

        use_proxied(&(RouteSpec){ .unit = "next.socket", .worker = "other", .path = "/a", .transport = TRANSPORT_SEQPACKET });
        start_other(&(RouteSpec){ .unit = "a.socket", .worker = "a", .host = "example.org", .transport = TRANSPORT_SEQPACKET });
        (void) snprintf(id, sizeof(id), "%08x-1", instance());

        client = connect_tcp();
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

/* If the second broker has no room, the first one keeps the client and answers it in the end. */
static void test_other_is_full(void **state) {
        int client;

        use_proxied(&(RouteSpec){ .unit = "next.socket", .worker = "other", .transport = TRANSPORT_SEQPACKET,
                                  .queue_timeout = 100 * USEC_PER_MSEC });
        start_other(&(RouteSpec){ .unit = "a.socket", .worker = "a" });
        set_other_max_clients(0);

        client = connect_tcp();
        say(client, HEAD_A);
        WAIT_FOR(n_refused(REFUSAL_TIMEOUT) == 1);
        assert_true(n_unread() > 0);
        fd_close(client);
}

/* Two brokers that point at each other notice, and the client is told. */
static void test_loop(void **state) {
        char answer[16] = "";
        int client;

        assert_int_equal(handback_listen(t.broker, "return", listen_type_at("return", SOCK_SEQPACKET, 8)), 0);
        use_proxied(&(RouteSpec){ .unit = "next.socket", .worker = "other", .transport = TRANSPORT_SEQPACKET });
        start_other(&(RouteSpec){ .unit = "back.socket", .worker = "return", .transport = TRANSPORT_SEQPACKET });

        client = connect_tcp();
        say(client, HEAD_A);
        WAIT_FOR(has_event(client, POLLIN));
        assert_true(recv(client, answer, sizeof(answer) - 1, 0) > 0);
        assert_string_equal(answer, "HTTP/1.1 503 Se");
        assert_int_equal(n_returned() + other_n_returned(), FDPASS_HOPS_MAX);
        fd_close(client);
}

/* A route to the broker's own socket is not used. */
static void test_own_socket(void **state) {
        int client;

        assert_int_equal(handback_listen(t.broker, "return-a", listen_type_at("return", SOCK_STREAM, 8)), 0);
        use_proxied(&(RouteSpec){ .unit = "self.socket", .worker = "return", .queue_timeout = 100 * USEC_PER_MSEC });

        client = connect_tcp();
        say(client, HEAD_A);
        WAIT_FOR(n_refused(REFUSAL_TIMEOUT) + n_refused(REFUSAL_WORKER_GONE) == 1);
        assert_int_equal(n_returned(), 0);
        fd_close(client);
}

/* The form of a Worker= without ListenStream= is found by trying, for both types of sockets. */
static void test_form_is_found(void **state) {
        static const int types[] = { SOCK_STREAM, SOCK_SEQPACKET };

        for (size_t i = 0; i < ELEMENTSOF(types); i++) {
                int a = listen_type_at("a", types[i], 8), client;
                Config *config = config_of(&(RouteSpec){ .unit = "a.socket", .worker = "a", .transport = TRANSPORT_SEQPACKET }, 1);

                config->routes[0].transport_is_open = true;
                assert_int_equal(broker_set_config(t.broker, config), 0);
                client = dial_and_say("public", 'x');
                WAIT_FOR(has_event(a, POLLIN));
                fd_close(client);
                fd_close(a);
                WAIT_FOR(n_in_broker() == 0);
        }
}

TEST_MAIN(CHAIN_TEST(test_two_brokers),
          CHAIN_TEST(test_other_is_full),
          CHAIN_TEST(test_loop),
          CHAIN_TEST(test_own_socket),
          CHAIN_TEST(test_form_is_found))
