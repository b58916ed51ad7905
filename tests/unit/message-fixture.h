/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Messages that tests make and compare. */

#include "test.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>

#include "basic/fd.h"
#include "handoff/message.h"
#include "probe/crc32c.h"
#include "probe/proxy.h"

#define S(literal) SLICE_LITERAL(literal)

/* A message under construction. */
typedef struct Bytes {
        uint8_t p[FDPASS_MESSAGE_MAX + 4096];
        size_t n;
} Bytes;

static inline void add(Bytes *b, Slice s) {
        assert_true(s.n <= sizeof(b->p) - b->n);
        if (s.n > 0)
                memcpy(b->p + b->n, s.p, s.n);
        b->n += s.n;
}

static inline void add_tlv(Bytes *b, uint8_t type, Slice value) {
        uint8_t head[3] = { type, (uint8_t) (value.n >> 8), (uint8_t) value.n };

        add(b, (Slice){ head, sizeof(head) });
        add(b, value);
}

/* Begins a header without addresses; with the right VERSION unless the test adds it. */
static inline void begin(Bytes *b) {
        b->n = 0;
        add(b, S("\r\n\r\n\0\r\nQUIT\n\x21\0\0\0"));
}

static inline void begin_version(Bytes *b) {
        begin(b);
        add_tlv(b, FDPASS_TLV_VERSION, S("\1"));
}

static inline void set_length(Bytes *b) {
        b->p[14] = (uint8_t) ((b->n - 16) >> 8);
        b->p[15] = (uint8_t) (b->n - 16);
}

/* Decodes a copy on the heap, so that a sanitizer notices each read behind its end. */
static inline int decode(const uint8_t *p, size_t n) {
        uint8_t *copy = malloc(n > 0 ? n : 1);
        Message m;
        int r;

        assert_non_null(copy);
        if (n > 0)
                memcpy(copy, p, n);
        r = message_decode(copy, n, &m);
        free(copy);
        return r;
}

static inline int decode_bytes(Bytes *b) {
        set_length(b);
        return decode(b->p, b->n);
}

static inline int decode_tlv(uint8_t type, Slice value) {
        static Bytes b;

        begin_version(&b);
        add_tlv(&b, type, value);
        return decode_bytes(&b);
}

static inline MessageAddress address4(const char *text, uint16_t port) {
        MessageAddress a = { .in = { .sin_family = AF_INET, .sin_port = htons(port) } };

        assert_int_equal(inet_pton(AF_INET, text, &a.in.sin_addr), 1);
        return a;
}

static inline MessageAddress address6(const char *text, uint16_t port) {
        MessageAddress a = { .in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) } };

        assert_int_equal(inet_pton(AF_INET6, text, &a.in6.sin6_addr), 1);
        return a;
}

/* The message whose dump is in fdpass-protocol(7). */
static inline Message example(void) {
        Message m = MESSAGE_NULL;

        m.source = address4("192.0.2.7", 51234);
        m.destination = address4("198.51.100.1", 80);
        m.authority = S("example.org");
        m.route = S("chat.socket");
        m.listener = S("http");
        m.protocol = S("http");
        return m;
}

static inline Message everything(void) {
        Message m = MESSAGE_NULL;

        m.source = address6("2001:db8::7", 1);
        m.destination = address6("2001:db8::1", 65535);
        m.alpn = S("h2");
        m.authority = S("b\xc3\xbc" "cher.example");
        m.unique_id = S("\0\1\2\xff");
        m.ssl = S("\1\0\0\0\0\x21\0\7TLSv1.3");
        m.route = S("chat@7.socket");
        m.listener = S("https");
        m.data = S("{\"user\":7}\0\r\n");
        m.proxy = S("\x02\0\x01" "a" "\xea\0\x02\x01v" "\xe0\0\0" "\xea\0\0");
        m.deadline = UINT64_C(0x0123456789abcdef);
        m.protocol = S("tls");
        m.name = S("stream");
        m.scope = S("\0\0\0\0\1h\1ap\1/");
        m.seal = S("\0\1\2\3\4\5\6\7");
        m.hops = 16;
        m.consumed = S("GET / HTTP/1.1\r\n\0");
        return m;
}

static inline void assert_slice(Slice a, Slice b) {
        assert_int_equal(a.n, b.n);
        if (a.n > 0)
                assert_memory_equal(a.p, b.p, a.n);
}

static inline void assert_same(const Message *a, const Message *b) {
        assert_memory_equal(&a->source, &b->source, sizeof(a->source));
        assert_memory_equal(&a->destination, &b->destination, sizeof(a->destination));
        assert_slice(a->alpn, b->alpn);
        assert_slice(a->authority, b->authority);
        assert_slice(a->unique_id, b->unique_id);
        assert_slice(a->ssl, b->ssl);
        assert_slice(a->route, b->route);
        assert_slice(a->listener, b->listener);
        assert_slice(a->data, b->data);
        assert_slice(a->proxy, b->proxy);
        assert_true(a->deadline == b->deadline);
        assert_slice(a->protocol, b->protocol);
        assert_slice(a->name, b->name);
        assert_slice(a->scope, b->scope);
        assert_slice(a->seal, b->seal);
        assert_int_equal(a->hops, b->hops);
        assert_slice(a->consumed, b->consumed);
        assert_int_equal(a->status, b->status);
        assert_int_equal(a->head_length, b->head_length);
}

static inline void encode(const Message *m, Bytes *ret) {
        assert_int_equal(message_encode(m, ret->p, FDPASS_HEADER_MAX, &ret->n), 0);
        add(ret, m->consumed);
}

static inline void assert_round_trip(const Message *m) {
        static Bytes b;
        Message got;

        encode(m, &b);
        assert_int_equal(message_decode(b.p, b.n, &got), 0);
        assert_same(m, &got);
}
