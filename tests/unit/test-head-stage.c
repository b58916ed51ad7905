/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Heads of clients that a TLS stage has handed back: the host of the handshake counts. */

#include "head-fixture.h"

/* Behind a TLS stage, AUTHORITY and ALPN of the header are not used, because they are about the TLS that has ended. */
static void test_tlvs_behind_stage(void **state) {
        int a = listen_type_at("a", SOCK_SEQPACKET, 8), b = listen_type_at("b", SOCK_SEQPACKET, 8), client, fd;
        Message m = MESSAGE_NULL;

        assert_int_equal(handback_listen(t.broker, "return", listen_type_at("return", SOCK_SEQPACKET, 8)), 0);
        USE({ .unit = "a.socket", .worker = "a", .transport = TRANSPORT_SEQPACKET, .host = "example.org" },
            { .unit = "b.socket", .worker = "b", .transport = TRANSPORT_SEQPACKET });

        for (unsigned is_stage = 0; is_stage < 2; is_stage++) {
                tcp_pair(&client, &fd);
                say(client, "\x01 unknown");
                m.proxy = SLICE_LITERAL("\x01\0\2h2" "\x02\0\x0b" "example.org" "\x20\0\5\1\0\0\0\0");
                m.ssl = is_stage ? SLICE_LITERAL("\2\0\0\0\0") : SLICE_LITERAL("\1\0\0\0\0");
                m.authority = is_stage ? SLICE_LITERAL("other.example") : SLICE_LITERAL("last.example");
                expect_answer(hand_back(fd, m), FDPASS_ANSWER_TAKEN);

                m = take_message(is_stage ? b : a, "\x01 unknown");
                if (is_stage) {
                        expect_slice(m.authority, SLICE_LITERAL("other.example"));
                        expect_slice(m.ssl, SLICE_LITERAL("\2\0\0\0\0"));
                        assert_int_equal(m.alpn.n, 0);
                } else {
                        expect_slice(m.authority, SLICE_LITERAL("example.org"));
                        expect_slice(m.ssl, SLICE_LITERAL("\1\0\0\0\0"));
                        expect_slice(m.alpn, SLICE_LITERAL("h2"));
                }
                m = MESSAGE_NULL;
                fd_close(client);
        }
        close_all((int[]){ a, b }, 2);
}

/* The SSL TLV of a stage, with the name of the handshake. NULL: the stage tells none. */
static Slice ssl_of(const char *name) {
        static uint8_t value[300];
        size_t n = name ? strlen(name) : 0;

        memcpy(value, "\1\0\0\0\0\xe0\0", 7);
        value[7] = (uint8_t) n;
        if (n > 0)
                memcpy(value + 8, name, n);
        return (Slice){ value, name ? 8 + n : FDPASS_SSL_TLVS_AT };
}

/* Hands a new client back that says @text behind TLS. Returns its own end. */
static int stage_client(Slice ssl, const char *text) {
        Message m = MESSAGE_NULL;
        int client, fd;

        tcp_pair(&client, &fd);
        say(client, text);
        m.ssl = ssl;
        m.hops = 1;
        expect_answer(hand_back(fd, m), FDPASS_ANSWER_TAKEN);
        return client;
}

/* The beginning of the broker's answer. */
static void expect_status(int client, const char *status) {
        char text[64] = "";

        WAIT_FOR(has_event(client, POLLIN));
        assert_true(recv(client, text, strlen(status), MSG_DONTWAIT) > 0);
        assert_string_equal(text, status);
}

#define HTTP_ANY (1U << PROBE_HTTP | 1U << PROBE_HTTP2)
#define TO(host) "GET / HTTP/1.1\r\nHost: " host "\r\n\r\n"

/* Behind a stage a request has to be for the host of the handshake, whatever way it names another one. */
static void test_host_of_handshake(void **state) {
        static const struct {
                const char *name, *text;
                bool is_taken;
        } cases[] = {
                { "a.example", TO("a.example"), true }, { "a.example", TO("A.Example.:443"), true },
                { "a.example", "GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n", true },
                { "a.example", "GET / HTTP/1.0\r\n\r\n", true }, { "a.example", PREFACE, true },
                { "", TO("192.0.2.1"), true }, { "", TO("[2001:db8::1]:443"), true }, { "", "GET / HTTP/1.0\r\n\r\n", true },
                { NULL, TO("b.example"), true },
                { "a.example", TO("b.example"), false }, { "a.example", TO("a.example.b.example"), false },
                { "b.example", TO("a.example"), false }, { "a.example", TO("192.0.2.1"), false },
                { "a.example", "GET http://b.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n", false },
                { "a.example", "GET http://a.example/ HTTP/1.1\r\nHost: b.example\r\n\r\n", false },
                { "", TO("a.example"), false }, { "", TO("1.2.3"), false }, { "", TO("0x7f.0.0.1"), false },
                { "not a name", TO("a.example"), false },
        };
        int a = listen_type_at("a", SOCK_SEQPACKET, 8);
        Config *config;

        assert_int_equal(handback_listen(t.broker, "return", listen_type_at("return", SOCK_SEQPACKET, 8)), 0);
        USE({ .unit = "a.socket", .worker = "a", .transport = TRANSPORT_SEQPACKET, .protocols = HTTP_ANY });
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                int client = stage_client(ssl_of(cases[i].name), cases[i].text);

                if (cases[i].is_taken)
                        (void) take_message(a, cases[i].text);
                else
                        expect_status(client, "HTTP/1.1 421 ");
                fd_close(client);
        }

        config = config_of(&(RouteSpec){ .unit = "a.socket", .worker = "a", .transport = TRANSPORT_SEQPACKET,
                                         .protocols = HTTP_ANY }, 1);
        config->routes[0].match.allows_other_host = true;
        use_config(config);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                int client = stage_client(ssl_of(cases[i].name), cases[i].text);

                (void) take_message(a, cases[i].text);
                fd_close(client);
        }
        fd_close(a);
}

/* TLS= tells clients of a stage, and of a balancer that ended TLS, from all others; Host= takes the name of the handshake. */
static void test_routes_by_tls(void **state) {
        static const struct {
                const char *name, *text;
                char worker;
        } cases[] = {
                { "x.example", TO("x.example"), 'a' }, { "example.org", PREFACE, 'c' }, { "example.org", TO("example.org"), 'c' },
                { "x.example", "SSH-2.0-x\r\n", 'a' }, { NULL, "SSH-2.0-x\r\n", 'a' },
        };
        int a = listen_type_at("a", SOCK_SEQPACKET, 8), b = listen_type_at("b", SOCK_SEQPACKET, 8),
            c = listen_type_at("c", SOCK_SEQPACKET, 8), client, fd;
        Config *config = config_of((RouteSpec[]){
                { .unit = "a.socket", .worker = "a", .transport = TRANSPORT_SEQPACKET },
                { .unit = "b.socket", .worker = "b", .transport = TRANSPORT_SEQPACKET },
                { .unit = "c.socket", .worker = "c", .transport = TRANSPORT_SEQPACKET, .host = "example.org" },
        }, 3);
        Message m = MESSAGE_NULL;

        assert_int_equal(handback_listen(t.broker, "return", listen_type_at("return", SOCK_SEQPACKET, 8)), 0);
        config->routes[0].match.tls = config->routes[2].match.tls = TLS_MATCH_YES;
        config->routes[1].match.tls = TLS_MATCH_NO;
        use_config(config);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                client = stage_client(ssl_of(cases[i].name), cases[i].text);
                (void) take_message(cases[i].worker == 'a' ? a : c, cases[i].text);
                fd_close(client);
        }

        for (unsigned i = 0; i < 3; i++) { /* no TLS; TLS at a balancer; a client that speaks TLS itself */
                const char *text = i == 2 ? "\x16\x03\x01" : TO("x.example");

                tcp_pair(&client, &fd);
                if (i == 2) {
                        Slice hello = HELLO(.name = "x.example");

                        assert_int_equal(send(client, hello.p, hello.n, MSG_NOSIGNAL), (ssize_t) hello.n);
                } else
                        say(client, text);
                m.proxy = i == 1 ? SLICE_LITERAL("\x20\0\5\1\0\0\0\0") : (Slice){};
                m.hops = 1;
                expect_answer(hand_back(fd, m), FDPASS_ANSWER_TAKEN);
                fd_close(keep_client(i == 1 ? a : b, &m));
                m = MESSAGE_NULL;
                fd_close(client);
        }
        close_all((int[]){ a, b, c }, 3);
}

/* The worker is told the name of the handshake, and the scope is that of clients behind TLS. */
static void test_scope_behind_tls(void **state) {
        int a = listen_type_at("a", SOCK_SEQPACKET, 8), b = listen_type_at("b", SOCK_SEQPACKET, 8), client;
        Config *config = config_of((RouteSpec[]){
                { .unit = "a.socket", .worker = "a", .transport = TRANSPORT_SEQPACKET },
                { .unit = "b.socket", .worker = "b", .transport = TRANSPORT_SEQPACKET, .path = "/b" },
        }, 2);

        assert_int_equal(handback_listen(t.broker, "return", listen_type_at("return", SOCK_SEQPACKET, 8)), 0);
        config->routes[1].match.tls = TLS_MATCH_NO;
        use_config(config);
        for (unsigned i = 0; i < 2; i++) { /* with TLS and without it; the second time from the cache */
                for (unsigned k = 0; k < 2; k++) {
                        Message m;

                        client = stage_client(k == 0 ? ssl_of("a.example") : SLICE_LITERAL("\0\0\0\0\0"), TO("a.example"));
                        m = take_message(a, TO("a.example"));
                        expect_slice(m.authority, SLICE_LITERAL("a.example"));
                        if (k == 0)
                                expect_slice(slice_find_tlv(slice_skip(m.ssl, 5), FDPASS_SSL_TLV_NAME), SLICE_LITERAL("a.example"));
                        assert_int_equal(memmem(m.scope.p, m.scope.n, "x\2/b", 4) != NULL, k == 1);
                        fd_close(client);
                }
        }
        close_all((int[]){ a, b }, 2);
}

TEST_MAIN(BROKER_TEST(test_tlvs_behind_stage),
          BROKER_TEST(test_host_of_handshake),
          BROKER_TEST(test_routes_by_tls),
          BROKER_TEST(test_scope_behind_tls))
