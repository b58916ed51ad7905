/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* PROXY headers before a client: who is believed, and what becomes of their addresses. */

#include "head-fixture.h"

/* TrustedProxies=unix: headers of both versions are believed, and those without addresses leave the client as it is. */
static void test_trusts_unix(void **state) {
        static const struct {
                const char *header, *address;
        } cases[] = {
                { "PROXY TCP4 192.0.2.1 192.0.2.2 1000 25\r\n", "192.0.2.1" },
                { "PROXY UNKNOWN\r\n", NULL },
                { "PROXY UNKNOWN what an old proxy sends\r\n", NULL },
        };
        int a = listen_type_at("a", SOCK_SEQPACKET, 8), client;
        Message m;

        use_trusting(PROXY_PROTOCOL_REQUIRE, &taker, 1);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                client = dial("public");
                say(client, cases[i].header);
                say(client, "x");
                m = take_message(a, "x");
                if (cases[i].address)
                        expect_address(&m, cases[i].address);
                else
                        assert_int_equal(m.source.sa.sa_family, AF_UNSPEC);
                fd_close(client);
        }

        for (uint8_t command = 0x20; command <= 0x21; command++) {
                begin_header(command);
                PUT_TLV(0xEA, "\x01vpce");
                client = dial_header("x");
                m = take_message(a, "x");
                if (command == 0x21)
                        expect_address(&m, "192.0.2.7");
                else
                        assert_int_equal(m.source.sa.sa_family, AF_UNSPEC);
                assert_int_equal(m.proxy.n, command == 0x21 ? 8 : 0); /* LOCAL: the header is to be ignored */
                fd_close(client);
        }
        fd_close(a);
}

/* Without a header, or without unix in the list, a client over AF_UNIX is refused. With "optional" it is not. */
static void test_refuses_unix(void **state) {
        int a = listen_type_at("a", SOCK_SEQPACKET, 8), client;
        Config *config;

        use_trusting(PROXY_PROTOCOL_REQUIRE, &taker, 1);
        client = dial("public");
        say(client, REQUEST);
        WAIT_FOR(n_refused(REFUSAL_MALFORMED) == 1);
        fd_close(client);

        use_trusting(PROXY_PROTOCOL_OPTIONAL, &taker, 1);
        client = dial("public");
        say(client, REQUEST);
        (void) take_message(a, REQUEST);
        fd_close(client);

        config = config_of(&taker, 1);
        trust_all_proxies(config, PROXY_PROTOCOL_REQUIRE); /* of AF_INET */
        use_config(config);
        client = dial("public");
        say(client, "PROXY TCP4 192.0.2.1 192.0.2.2 1000 25\r\n");
        WAIT_FOR(n_refused(REFUSAL_UNTRUSTED) == 1);
        fd_close(client);

        assert_false(has_event(a, POLLIN));
        fd_close(a);
}

/* A sender that attaches a descriptor to the header is closed: taking the header would close the descriptor here. */
static void test_header_with_descriptor(void **state) {
        int a = listen_type_at("a", SOCK_SEQPACKET, 8), client, pair[2];

        use_trusting(PROXY_PROTOCOL_REQUIRE, &taker, 1);
        client = dial("public");
        if (!handoff_may_bring_rights()) { /* the kernel refuses them */
                fd_close(client);
                fd_close(a);
                return;
        }
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        assert_int_equal(handoff_send_message(client, SLICE_LITERAL("PROXY UNKNOWN\r\nx"), (Slice){}, pair[0]), 0);
        WAIT_FOR(n_gone() == 1);
        assert_false(has_event(a, POLLIN));

        close_all(pair, 2);
        fd_close(client);
        fd_close(a);
}

/* Takes a client that comes with the one byte. */
static int take_bare(int worker) {
        int conn, fd = -EBADF;

        WAIT_FOR(has_event(worker, POLLIN));
        conn = accept4(worker, NULL, NULL, SOCK_CLOEXEC);
        assert_int_equal(handoff_receive(conn, &fd), 0);
        fd_close(conn);
        return fd;
}

/* Routes a client at a listener for proxies: GET / to a worker without metadata, GET /a to one that is told all. */
static void use_bare(bool by_metadata) {
        Config *config = config_of((RouteSpec[]){
                { .unit = "s.socket", .worker = "s", .host = "example.org", .no_metadata = by_metadata,
                  .transport = by_metadata ? TRANSPORT_SEQPACKET : TRANSPORT_STREAM, .listener = "tcp" },
                { .unit = "a.socket", .worker = "a", .host = "example.org", .path = "/a", .transport = TRANSPORT_SEQPACKET,
                  .listener = "tcp" },
        }, 2);

        trust_all_proxies(config, PROXY_PROTOCOL_REQUIRE);
        use_config(config);
}

/* A worker without metadata hands a client back: the next worker is told what the PROXY header said, and the listener. */
static void test_bare_hand_back(void **state) {
        int a = listen_type_at("a", SOCK_SEQPACKET, 8), s = -EBADF, client, fd, conn;
        char text[256];
        Message m;

        assert_int_equal(handback_listen(t.broker, "return", listen_type_at("return", SOCK_SEQPACKET, 8)), 0);
        add_tcp("tcp");
        for (unsigned i = 0; i < 2; i++) {
                s = listen_type_at("s", i == 0 ? SOCK_STREAM : SOCK_SEQPACKET, 8);
                use_bare(i == 1);
                client = connect_tcp();
                make_tlvs();
                assert_int_equal(send(client, header.p, header.n, MSG_NOSIGNAL), (ssize_t) header.n);
                say(client, REQUEST);

                for (unsigned k = 0; k < 2; k++) { /* twice, with a request to the same worker in between */
                        fd = take_bare(s);
                        assert_true(recv(fd, text, sizeof(text), 0) > 0);
                        send_message(conn = connect_return(), fd, MESSAGE_NULL);
                        expect_answer(conn, FDPASS_ANSWER_TAKEN);
                        WAIT_FOR(n_parked() == 1);
                        say(client, k == 0 ? REQUEST : HEAD_A);
                }

                m = take_message(a, HEAD_A);
                expect_address(&m, "192.0.2.7");
                expect_tlvs(&m);
                expect_slice(m.listener, SLICE_LITERAL("tcp"));
                close_all((int[]){ client, s }, 2);
        }
        fd_close(a);
}

/* Without its address, a client of a proxy gets no further worker: by the proxy's own it could get one that is not for it. */
static void test_address_lost(void **state) {
        int a = listen_type_at("a", SOCK_SEQPACKET, 8), s = listen_at("s", 8), client, fd, conn;
        Config *config;

        assert_int_equal(handback_listen(t.broker, "return", listen_type_at("return", SOCK_SEQPACKET, 8)), 0);
        add_tcp("tcp");
        USE({ .unit = "s.socket", .worker = "s", .host = "example.org" });
        client = connect_tcp();
        say(client, REQUEST);
        fd = take_bare(s); /* as if it were from before a restart */

        use_bare(/* by_metadata= */ false);
        send_message(conn = connect_return(), fd, MESSAGE_NULL);
        expect_answer(conn, FDPASS_ANSWER_TAKEN);
        WAIT_FOR(n_refused(REFUSAL_ADDRESS_LOST) == 1 && n_in_broker() == 0);
        WAIT_FOR(is_closed(client));
        fd_close(client);

        /* A listener without proxies has the socket's own addresses, and an untrusted client has no others. */
        for (unsigned i = 0; i < 2; i++) {
                config = config_of(&taker, 1);
                if (i == 1) {
                        trust_all_proxies(config, PROXY_PROTOCOL_OPTIONAL);
                        config->listener_default.trusted_proxies[0].family = AF_INET6;
                }
                USE({ .unit = "s.socket", .worker = "s", .host = "example.org" });
                client = connect_tcp();
                say(client, REQUEST);
                fd = take_bare(s);
                use_config(config);
                send_message(conn = connect_return(), fd, MESSAGE_NULL);
                expect_answer(conn, FDPASS_ANSWER_TAKEN);
                (void) take_message(a, REQUEST);
                fd_close(client);
        }
        close_all((int[]){ a, s }, 2);
}

TEST_MAIN(BROKER_TEST(test_trusts_unix),
          BROKER_TEST(test_refuses_unix),
          BROKER_TEST(test_header_with_descriptor),
          BROKER_TEST(test_bare_hand_back),
          BROKER_TEST(test_address_lost))
