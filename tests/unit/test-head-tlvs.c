/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* TLVs of PROXY headers: where they route, and what a worker is told of them. */

#include "head-fixture.h"

/* The TLVs go on to the worker. What the client itself says of host and protocol counts more than the header. */
static void test_tlvs_to_worker(void **state) {
        int a = listen_type_at("a", SOCK_SEQPACKET, 8), client;
        Message m;

        use_trusting(PROXY_PROTOCOL_REQUIRE, (RouteSpec[]){ { .unit = "a.socket", .worker = "a",
                     .transport = TRANSPORT_SEQPACKET, .protocols = 1U << PROBE_HTTP }, taker }, 2);

        client = dial_tlvs(REQUEST);
        m = take_message(a, REQUEST);
        expect_tlvs(&m);
        expect_address(&m, "192.0.2.7");
        expect_slice(m.authority, SLICE_LITERAL("example.org"));
        expect_slice(m.alpn, SLICE_LITERAL("h2"));
        fd_close(client);

        client = dial_tlvs("\x01 another protocol");
        m = take_message(a, "\x01 another protocol");
        expect_tlvs(&m);
        expect_slice(m.authority, SLICE_LITERAL("cloud.example.org"));
        expect_slice(m.alpn, SLICE_LITERAL("h2"));
        fd_close(client);
        fd_close(a);
}

/* At most 1024 bytes of TLVs are kept. One that does not fit is left out, and those behind it are not. */
static void test_tlvs_are_bounded(void **state) {
        static const uint8_t zeros[2000];
        int a = listen_type_at("a", SOCK_SEQPACKET, 8), client;
        Message m;

        use_trusting(PROXY_PROTOCOL_REQUIRE, &taker, 1);

        begin_header(0x21);
        put_tlv(0xEA, (Slice){ zeros, 500 });
        put_tlv(0x20, (Slice){ zeros, 2000 });
        put_tlv(0x30, (Slice){ zeros, 500 });
        PUT_TLV(0xEE, "does not fit"); /* 18 bytes are left, and it has 15 */
        PUT_TLV(0x31, "");
        PUT_TLV(0xF0, "");
        client = dial_header("x");
        m = take_message(a, "x");
        assert_int_equal(m.proxy.n, 503 + 503 + 15 + 3);
        assert_int_equal(slice_find_tlv(m.tlvs, 0xEA).n, 500);
        assert_int_equal(slice_find_tlv(m.tlvs, 0x30).n, 500);
        assert_int_equal(m.ssl.n, 0);
        assert_non_null(slice_find_tlv(m.tlvs, 0x31).p);
        assert_null(slice_find_tlv(m.tlvs, 0xF0).p);
        fd_close(client);

        /* A name that is no host name, an SSL of a wrong form, and too long an ALPN: in PROXY only. */
        begin_header(0x21);
        PUT_TLV(0x02, "*.example.org");
        PUT_TLV(0x20, "\x07\0");
        put_tlv(0x01, (Slice){ zeros, 256 });
        put_tlv(0x05, (Slice){ zeros, 129 });
        client = dial_header("x");
        m = take_message(a, "x");
        assert_int_equal(m.authority.n + m.ssl.n + m.alpn.n, 0);
        assert_true(m.unique_id.n > 0 && m.unique_id.n < 129);
        expect_slice(slice_find_tlv(m.proxy, 0x02), SLICE_LITERAL("*.example.org"));
        assert_int_equal(slice_find_tlv(m.proxy, 0x01).n, 256);
        fd_close(client);
        fd_close(a);
}

static char **list_of(const char *value) {
        char **l = calloc(2, sizeof(*l));

        l[0] = strdup(value);
        return l;
}

/* Sends a header with AUTHORITY and ALPN, and then @rest. */
static int dial_terminated(const char *authority, const char *alpn, Slice rest) {
        int fd = dial("public");

        begin_header(0x21);
        if (authority)
                put_tlv(0x02, slice_from_string(authority));
        if (alpn)
                put_tlv(0x01, slice_from_string(alpn));
        end_header(rest);
        assert_int_equal(send(fd, header.p, header.n, MSG_NOSIGNAL), (ssize_t) header.n);
        return fd;
}

/*
 * Host= and ALPN= take what the header says where the client's bytes do not say it. A worker never gets bytes that name
 * another host than that of its route.
 */
static void test_routes_by_tlvs(void **state) {
        int a = listen_at("a", 8), b = listen_at("b", 8);
        const struct {
                const char *authority, *alpn;
                Slice rest;
                int worker;
        } cases[] = {
                { "Example.ORG.", NULL, SLICE_LITERAL("\x01 unknown"), a },
                { "example.org", NULL, SLICE_LITERAL(PREFACE), a },
                { "example.org", NULL, SLICE_LITERAL("GET / HTTP/1.0\r\n\r\n"), a },
                { "example.org", NULL, SLICE_LITERAL("SSH-2.0-x\r\n"), a },
                { "example.org", NULL, HELLO(), a },
                { "other.example", NULL, SLICE_LITERAL(REQUEST), a },
                { NULL, NULL, SLICE_LITERAL("\x01 unknown"), b },
                { "example.org", NULL, SLICE_LITERAL("GET / HTTP/1.1\r\nHost: other.example\r\n\r\n"), b },
                { "example.org:443", NULL, SLICE_LITERAL("\x01 unknown"), b },
                { "*.example.org", NULL, SLICE_LITERAL("\x01 unknown"), b },
                { "", "", SLICE_LITERAL("\x01 unknown"), b },
        };

        use_trusting(PROXY_PROTOCOL_REQUIRE, (RouteSpec[]){
                { .unit = "a.socket", .worker = "a", .host = "example.org" }, { .unit = "b.socket", .worker = "b" },
        }, 2);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                int client = dial_terminated(cases[i].authority, cases[i].alpn, cases[i].rest);

                assert_int_equal(take_byte(cases[i].worker), cases[i].rest.p[0]);
                fd_close(client);
        }
        close_all((int[]){ a, b }, 2);
}

/* A hello has the host and the protocols that count, also if its name is no host name. The worker is told no others. */
static void test_hello_behind_tlvs(void **state) {
        static const struct {
                const char *name, *alpn, *authority;
        } cases[] = {
                { "other.example", "h3", "other.example" }, { "192.0.2.1", "h3", "" }, { "*.example.org", NULL, "" },
                { "", NULL, "" }, { NULL, NULL, "example.org" },
        };
        int a = listen_type_at("a", SOCK_SEQPACKET, 8), b = listen_type_at("b", SOCK_SEQPACKET, 8);

        use_trusting(PROXY_PROTOCOL_REQUIRE, (RouteSpec[]){
                { .unit = "a.socket", .worker = "a", .transport = TRANSPORT_SEQPACKET, .host = "example.org" },
                { .unit = "b.socket", .worker = "b", .transport = TRANSPORT_SEQPACKET },
        }, 2);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                int client = dial_terminated("example.org", "h2", HELLO(.name = cases[i].name, .alpn = cases[i].alpn));
                int fd;
                Message m;

                fd = keep_client(cases[i].name ? b : a, &m);
                expect_slice(m.authority, slice_from_string(cases[i].authority));
                expect_slice(m.alpn, slice_from_string(cases[i].alpn ?: ""));
                close_all((int[]){ client, fd }, 2);
        }
        close_all((int[]){ a, b }, 2);
}

/* ALPN=h2 takes HTTP/2 whose TLS the balancer ended, and a hello by what it offers itself. */
static void test_routes_by_alpn(void **state) {
        int a = listen_at("a", 8), b = listen_at("b", 8);
        const struct {
                const char *alpn;
                Slice rest;
                int worker;
        } cases[] = {
                { "h2", SLICE_LITERAL(PREFACE), a },       { "h2", SLICE_LITERAL("\x01 unknown"), a },
                { "h2", SLICE_LITERAL(REQUEST), a },       { "h2c", SLICE_LITERAL(PREFACE), b },
                { "H2", SLICE_LITERAL(PREFACE), b },       { NULL, SLICE_LITERAL(PREFACE), b },
                { "http/1.1", SLICE_LITERAL(PREFACE), b },
        };
        Config *config = config_of((RouteSpec[]){
                { .unit = "a.socket", .worker = "a" }, { .unit = "b.socket", .worker = "b" },
        }, 2);
        int client;

        config->routes[0].match.alpns = list_of("h2");
        trust_unix(config, PROXY_PROTOCOL_REQUIRE);
        use_config(config);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                client = dial_terminated(NULL, cases[i].alpn, cases[i].rest);
                assert_int_equal(take_byte(cases[i].worker), cases[i].rest.p[0]);
                fd_close(client);
        }

        client = dial_terminated(NULL, "h2", HELLO(.alpn = "http/1.1"));
        assert_int_equal(take_byte(b), 22);
        fd_close(client);
        client = dial_terminated(NULL, "http/1.1", HELLO(.alpn = "http/1.1,h2"));
        assert_int_equal(take_byte(a), 22);
        fd_close(client);
        close_all((int[]){ a, b }, 2);
}

/* AUTHORITY takes malformed and incomplete bytes to no route with Host=, because they may name another host. */
static void test_no_host_for_malformed(void **state) {
        static const char *const heads[] = {
                "GET / HTTP/1.1\r\nHost: other.example\nX: y\r\n\r\n", "GET / HTTP/1.1\r\nHost: other.exam",
        };
        int a = listen_at("a", 8);

        use_trusting(PROXY_PROTOCOL_REQUIRE, (RouteSpec[]){
                { .unit = "a.socket", .worker = "a", .host = "example.org", .prefix = "GET " },
        }, 1);
        for (size_t i = 0; i < ELEMENTSOF(heads); i++) {
                int client = dial_terminated("example.org", NULL, slice_from_string(heads[i]));

                assert_int_equal(shutdown(client, SHUT_WR), 0);
                WAIT_FOR(n_in_broker() == 0 && n_accepted() == i + 1);
                fd_close(client);
        }
        assert_int_equal(n_taken(), 0);
        fd_close(a);
}

/* A client that is handed back keeps the TLVs, and the host of its last request is not taken for theirs. */
static void test_tlvs_after_hand_back(void **state) {
        int a = listen_type_at("a", SOCK_SEQPACKET, 8), client, fd;
        char text[256];
        Config *config;
        Message m;

        assert_int_equal(handback_listen(t.broker, "return", listen_type_at("return", SOCK_SEQPACKET, 8)), 0);
        config = config_of(&(RouteSpec){ .unit = "a.socket", .worker = "a", .transport = TRANSPORT_SEQPACKET,
                                         .protocols = 1U << PROBE_HTTP | 1U << PROBE_SSH }, 1);
        trust_all_proxies(config, PROXY_PROTOCOL_REQUIRE);
        add_tcp("tcp");
        use_config(config);

        client = connect_tcp();
        make_tlvs();
        assert_int_equal(send(client, header.p, header.n, MSG_NOSIGNAL), (ssize_t) header.n);
        say(client, REQUEST);
        fd = keep_client(a, &m);
        expect_tlvs(&m);
        assert_true(recv(fd, text, sizeof(text), 0) > 0);

        m.route = (Slice){};
        m.persistent_max = m.hops = 0;
        expect_answer(hand_back(fd, m), FDPASS_ANSWER_TAKEN);
        WAIT_FOR(n_parked() == 1);
        say(client, "SSH-2.0-x\r\n");

        m = take_message(a, "SSH-2.0-x\r\n");
        expect_tlvs(&m);
        expect_address(&m, "192.0.2.7");
        expect_slice(m.authority, SLICE_LITERAL("cloud.example.org")); /* and not example.org */
        close_all((int[]){ a, client }, 2);
}

TEST_MAIN(BROKER_TEST(test_tlvs_to_worker),
          BROKER_TEST(test_tlvs_are_bounded),
          BROKER_TEST(test_routes_by_tlvs),
          BROKER_TEST(test_hello_behind_tlvs),
          BROKER_TEST(test_routes_by_alpn),
          BROKER_TEST(test_no_host_for_malformed),
          BROKER_TEST(test_tlvs_after_hand_back))
