/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* First bytes of clients: PROXY headers, to a broker that believes them, and hellos. Workers that get such clients. */

#include "handback-fixture.h"

#include "probe/crc32c.h"
#include "probe/proxy.h"
#include "tls-hello.h"

#define REQUEST "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"

static Bytes header;

/* Begins a header of version 2 from 192.0.2.7:1000 to 198.51.100.1:443. @command: 0x21 for PROXY, 0x20 for LOCAL. */
static inline void begin_header(uint8_t command) {
        static const uint8_t addresses[] = { 192, 0, 2, 7, 198, 51, 100, 1, 1000 >> 8, 1000 & 0xff, 443 >> 8,
                                             443 & 0xff };

        header.n = 0;
        put(&header, PROXY_V2_SIGNATURE.p, PROXY_V2_SIGNATURE.n);
        put_number(&header, command, 1);
        put_number(&header, 0x11, 1);
        put_number(&header, 0, 2);
        put(&header, addresses, sizeof(addresses));
}

static inline void put_tlv(uint8_t type, Slice value) {
        put_number(&header, type, 1);
        put_number(&header, value.n, 2);
        put(&header, value.p, value.n);
}

#define PUT_TLV(type, s) put_tlv(type, SLICE_LITERAL(s))

/* Ends the header, and puts what follows it behind it. */
static inline void end_header(Slice rest) {
        size_t n = header.n - PROXY_V2_HEADER_SIZE;

        header.p[14] = (uint8_t) (n >> 8);
        header.p[15] = (uint8_t) n;
        put(&header, rest.p, rest.n);
}

/* A client that sends the header and what follows. */
static inline int dial_header(const char *text) {
        int fd = dial("public");

        end_header(slice_from_string(text));
        assert_int_equal(send(fd, header.p, header.n, MSG_NOSIGNAL), (ssize_t) header.n);
        return fd;
}

static inline void trust_unix(Config *config, ProxyProtocol mode) {
        trust_all_proxies(config, mode);
        config->listener_default.trusted_proxies[0].family = AF_UNIX;
}

static const RouteSpec taker = { .unit = "a.socket", .worker = "a", .transport = TRANSPORT_SEQPACKET };

static inline void use_trusting(ProxyProtocol mode, const RouteSpec *routes, size_t n) {
        Config *config = config_of(routes, n);

        trust_unix(config, mode);
        use_config(config);
}

static inline void expect_address(const Message *m, const char *text) {
        char address[INET_ADDRSTRLEN];

        assert_int_equal(m->source.sa.sa_family, AF_INET);
        assert_non_null(inet_ntop(AF_INET, &m->source.in.sin_addr, address, sizeof(address)));
        assert_string_equal(address, text);
        assert_int_equal(m->destination.sa.sa_family, AF_INET);
}

/* SSL with the common name of a client certificate (PROXY protocol 2.2.6). */
#define SSL_VALUE "\x07\0\0\0\0" "\x21\0\x07TLSv1.3" "\x22\0\x05" "alice"

/* Makes a header with the TLVs of several balancers, and some that try to be ours. */
static inline void make_tlvs(void) {
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

static inline int dial_tlvs(const char *text) {
        make_tlvs();
        return dial_header(text);
}

static inline void expect_tlvs(const Message *m) {
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

static inline Slice hello_of(const HelloSpec *spec) {
        static Bytes hello;

        make_hello(spec, &hello);
        return (Slice){ hello.p, hello.n };
}

#define HELLO(...) hello_of(&(HelloSpec){ __VA_ARGS__ })
#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

/* The worker's side: takes the client with its message, and keeps it. */
static inline int keep_client(int worker, Message *ret) {
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
