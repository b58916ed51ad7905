/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* PROXY headers before a client: who is believed, and what becomes of their TLVs. */

#include "handback-fixture.h"

#include "probe/crc32c.h"
#include "probe/proxy.h"
#include "tls-hello.h"

#define REQUEST "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"

static Bytes header;

/* Begins a header of version 2 from 192.0.2.7:1000 to 198.51.100.1:443. @command: 0x21 for PROXY, 0x20 for LOCAL. */
static void begin_header(uint8_t command) {
        static const uint8_t addresses[] = { 192, 0, 2, 7, 198, 51, 100, 1, 1000 >> 8, 1000 & 0xff, 443 >> 8,
                                             443 & 0xff };

        header.n = 0;
        put(&header, PROXY_V2_SIGNATURE.p, PROXY_V2_SIGNATURE.n);
        put_number(&header, command, 1);
        put_number(&header, 0x11, 1);
        put_number(&header, 0, 2);
        put(&header, addresses, sizeof(addresses));
}

static void put_tlv(uint8_t type, Slice value) {
        put_number(&header, type, 1);
        put_number(&header, value.n, 2);
        put(&header, value.p, value.n);
}

#define PUT_TLV(type, s) put_tlv(type, SLICE_LITERAL(s))

/* Ends the header, and puts what follows it behind it. */
static void end_header(Slice rest) {
        size_t n = header.n - PROXY_V2_HEADER_SIZE;

        header.p[14] = (uint8_t) (n >> 8);
        header.p[15] = (uint8_t) n;
        put(&header, rest.p, rest.n);
}

/* A client that sends the header and what follows. */
static int dial_header(const char *text) {
        int fd = dial("public");

        end_header(slice_from_string(text));
        assert_int_equal(send(fd, header.p, header.n, MSG_NOSIGNAL), (ssize_t) header.n);
        return fd;
}

static void trust_unix(Config *config, ProxyProtocol mode) {
        trust_all_proxies(config, mode);
        config->listener_default.trusted_proxies[0].family = AF_UNIX;
}

static const RouteSpec taker = { .unit = "a.socket", .worker = "a", .transport = TRANSPORT_SEQPACKET };

static void use_trusting(ProxyProtocol mode, const RouteSpec *routes, size_t n) {
        Config *config = config_of(routes, n);

        trust_unix(config, mode);
        use_config(config);
}

static void expect_slice(Slice s, Slice expected) {
        assert_int_equal(s.n, expected.n);
        if (s.n > 0)
                assert_memory_equal(s.p, expected.p, expected.n);
}

static void expect_address(const Message *m, const char *text) {
        char address[INET_ADDRSTRLEN];

        assert_int_equal(m->source.sa.sa_family, AF_INET);
        assert_non_null(inet_ntop(AF_INET, &m->source.in.sin_addr, address, sizeof(address)));
        assert_string_equal(address, text);
        assert_int_equal(m->destination.sa.sa_family, AF_INET);
}

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

/* SSL with the common name of a client certificate (PROXY protocol 2.2.6). */
#define SSL_VALUE "\x07\0\0\0\0" "\x21\0\x07TLSv1.3" "\x22\0\x05" "alice"

/* Makes a header with the TLVs of several balancers, and some that try to be ours. */
static void make_tlvs(void) {
        static const uint8_t zeros[4];
        uint32_t sum;
        size_t at;

        begin_header(0x21);
        PUT_TLV(0x04, "padding");
        PUT_TLV(0x01, "h2");
        PUT_TLV(0x02, "Cloud.Example.ORG");
        at = header.n + 3;
        put_tlv(0x03, (Slice){ zeros, sizeof(zeros) });
        PUT_TLV(0x05, "request-4711");
        PUT_TLV(0x20, SSL_VALUE);
        PUT_TLV(0x30, "netns");
        PUT_TLV(0xEA, "\x01vpce-08d2bf15fac5001c9");
        PUT_TLV(0xEE, "\x01\x78\x56\x34\x12");
        PUT_TLV(0xEA, "second");
        PUT_TLV(0xE0, "\0\0\0\0\0\0\0\1");
        PUT_TLV(0xE1, "forged.socket");
        PUT_TLV(0xE3, "forged data");
        PUT_TLV(0xE6, "forged");
        PUT_TLV(0xEB, "forged");
        PUT_TLV(0xED, "forged");
        PUT_TLV(0xF7, "");
        end_header((Slice){});

        sum = ~crc32c_add(CRC32C_INIT, (Slice){ header.p, header.n });
        for (size_t i = 0; i < 4; i++)
                header.p[at + i] = (uint8_t) (sum >> (24 - 8 * i));
}

static int dial_tlvs(const char *text) {
        make_tlvs();
        return dial_header(text);
}

static void expect_tlvs(const Message *m) {
        Slice rest = m->tlvs, value;
        unsigned counts[256] = {};
        uint8_t type;

        /* These are where a parser of the PROXY protocol looks for them. */
        expect_slice(slice_find_tlv(m->tlvs, 0x30), SLICE_LITERAL("netns"));
        expect_slice(slice_find_tlv(m->tlvs, 0xEA), SLICE_LITERAL("\x01vpce-08d2bf15fac5001c9"));
        expect_slice(slice_find_tlv(m->tlvs, 0xEE), SLICE_LITERAL("\x01\x78\x56\x34\x12"));
        expect_slice(m->ssl, SLICE_LITERAL(SSL_VALUE));
        expect_slice(m->unique_id, SLICE_LITERAL("request-4711"));
        assert_non_null(slice_find_tlv(m->tlvs, 0xF7).p);

        /* As they came. */
        expect_slice(slice_find_tlv(m->proxy, 0x01), SLICE_LITERAL("h2"));
        expect_slice(slice_find_tlv(m->proxy, 0x02), SLICE_LITERAL("Cloud.Example.ORG"));
        expect_slice(slice_find_tlv(m->proxy, 0xE0), SLICE_LITERAL("\0\0\0\0\0\0\0\1"));
        expect_slice(slice_find_tlv(m->proxy, 0xE1), SLICE_LITERAL("forged.socket"));
        expect_slice(slice_find_tlv(m->proxy, 0xED), SLICE_LITERAL("forged"));
        assert_null(slice_find_tlv(m->proxy, 0x03).p);
        assert_null(slice_find_tlv(m->proxy, 0x04).p);

        /* Ours are ours, and each type is there once. */
        expect_slice(m->route, SLICE_LITERAL("a.socket"));
        assert_int_equal(m->data.n, 0);
        while (reader_tlv(&rest, &type, &value))
                assert_int_equal(counts[type]++, 0);
        assert_int_equal(counts[0xE0], 1);
        assert_int_equal(counts[0xED], 1);
        assert_int_equal(counts[0xE6] + counts[0x03] + counts[0x04], 0);
        assert_false(slice_equal(slice_find_tlv(m->tlvs, 0xEB), SLICE_LITERAL("forged")));
}

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

static Slice hello_of(const HelloSpec *spec) {
        static Bytes hello;

        make_hello(spec, &hello);
        return (Slice){ hello.p, hello.n };
}

#define HELLO(...) hello_of(&(HelloSpec){ __VA_ARGS__ })
#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

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

/* The worker's side: takes the client with its message, and keeps it. */
static int keep_client(int worker, Message *ret) {
        static uint8_t bytes[FDPASS_MESSAGE_MAX];
        int conn, client = -EBADF;
        size_t n;

        WAIT_FOR(has_event(worker, POLLIN));
        conn = accept4(worker, NULL, NULL, SOCK_CLOEXEC);
        assert_int_equal(handoff_receive_message(conn, 0, bytes, sizeof(bytes), &n, &client), 0);
        fd_close(conn);
        assert_int_equal(message_decode(bytes, n, ret), 0);
        return client;
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

TEST_MAIN(BROKER_TEST(test_trusts_unix),
          BROKER_TEST(test_refuses_unix),
          BROKER_TEST(test_header_with_descriptor),
          BROKER_TEST(test_tlvs_to_worker),
          BROKER_TEST(test_tlvs_are_bounded),
          BROKER_TEST(test_routes_by_tlvs),
          BROKER_TEST(test_hello_behind_tlvs),
          BROKER_TEST(test_routes_by_alpn),
          BROKER_TEST(test_no_host_for_malformed),
          BROKER_TEST(test_tlvs_after_hand_back),
          BROKER_TEST(test_bare_hand_back),
          BROKER_TEST(test_address_lost),
          BROKER_TEST(test_tlvs_behind_stage))
