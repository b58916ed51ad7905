/* SPDX-License-Identifier: LGPL-2.1-or-later */

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

static void add(Bytes *b, Slice s) {
        assert_true(s.n <= sizeof(b->p) - b->n);
        if (s.n > 0)
                memcpy(b->p + b->n, s.p, s.n);
        b->n += s.n;
}

static void add_tlv(Bytes *b, uint8_t type, Slice value) {
        uint8_t head[3] = { type, (uint8_t) (value.n >> 8), (uint8_t) value.n };

        add(b, (Slice){ head, sizeof(head) });
        add(b, value);
}

/* Begins a header without addresses; with the right VERSION unless the test adds it. */
static void begin(Bytes *b) {
        b->n = 0;
        add(b, S("\r\n\r\n\0\r\nQUIT\n\x21\0\0\0"));
}

static void begin_version(Bytes *b) {
        begin(b);
        add_tlv(b, FDPASS_TLV_VERSION, S("\1"));
}

static void set_length(Bytes *b) {
        b->p[14] = (uint8_t) ((b->n - 16) >> 8);
        b->p[15] = (uint8_t) (b->n - 16);
}

/* Decodes a copy on the heap, so that a sanitizer notices each read behind its end. */
static int decode(const uint8_t *p, size_t n) {
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

static int decode_bytes(Bytes *b) {
        set_length(b);
        return decode(b->p, b->n);
}

static int decode_tlv(uint8_t type, Slice value) {
        static Bytes b;

        begin_version(&b);
        add_tlv(&b, type, value);
        return decode_bytes(&b);
}

static MessageAddress address4(const char *text, uint16_t port) {
        MessageAddress a = { .in = { .sin_family = AF_INET, .sin_port = htons(port) } };

        assert_int_equal(inet_pton(AF_INET, text, &a.in.sin_addr), 1);
        return a;
}

static MessageAddress address6(const char *text, uint16_t port) {
        MessageAddress a = { .in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) } };

        assert_int_equal(inet_pton(AF_INET6, text, &a.in6.sin6_addr), 1);
        return a;
}

/* The message whose dump is in fdpass-protocol(7). */
static Message example(void) {
        Message m = MESSAGE_NULL;

        m.source = address4("192.0.2.7", 51234);
        m.destination = address4("198.51.100.1", 80);
        m.authority = S("example.org");
        m.route = S("chat.socket");
        m.listener = S("http");
        m.protocol = S("http");
        return m;
}

static Message everything(void) {
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

static void assert_slice(Slice a, Slice b) {
        assert_int_equal(a.n, b.n);
        if (a.n > 0)
                assert_memory_equal(a.p, b.p, a.n);
}

static void assert_same(const Message *a, const Message *b) {
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

static void encode(const Message *m, Bytes *ret) {
        assert_int_equal(message_encode(m, ret->p, FDPASS_HEADER_MAX, &ret->n), 0);
        add(ret, m->consumed);
}

static void assert_round_trip(const Message *m) {
        static Bytes b;
        Message got;

        encode(m, &b);
        assert_int_equal(message_decode(b.p, b.n, &got), 0);
        assert_same(m, &got);
}

static void test_round_trip(void **state) {
        Message m = MESSAGE_NULL;

        assert_round_trip(&m);

        m = example();
        assert_round_trip(&m);
        m.deadline = 0;
        assert_round_trip(&m);

        m = everything();
        assert_round_trip(&m);

        m.status = 299;
        m.head_length = (uint32_t) m.consumed.n;
        assert_round_trip(&m);
}

/* Addresses of two families are sent as UNSPEC. */
static void test_mixed_addresses(void **state) {
        Message m = MESSAGE_NULL, got;
        static Bytes b;

        m.source = address4("192.0.2.7", 1);
        m.destination = address6("2001:db8::1", 1);
        encode(&m, &b);
        assert_int_equal(message_decode(b.p, b.n, &got), 0);
        assert_int_equal(message_address_length(&got.source), 0);
        assert_int_equal(message_address_length(&got.destination), 0);
}

/* fdpass's own parser of PROXY headers reads the header. */
static void test_is_proxy_header(void **state) {
        Message m = everything();
        static Bytes b;
        ProxyFacts facts;

        encode(&m, &b);
        assert_int_equal(probe_proxy(b.p, b.n, &facts), PROBE_MATCH);
        assert_int_equal(facts.version, 2);
        assert_int_equal(facts.type, SOCK_STREAM);
        assert_memory_equal(&facts.source, &m.source, sizeof(m.source.in6));
        assert_memory_equal(&facts.destination, &m.destination, sizeof(m.destination.in6));
        assert_slice(slice_skip((Slice){ b.p, b.n }, facts.header_length), m.consumed);

        m.source = m.destination = (MessageAddress){};
        encode(&m, &b);
        assert_int_equal(probe_proxy(b.p, b.n, &facts), PROBE_MATCH);
        assert_false(facts.is_local);
        assert_int_equal(facts.source_length, 0);
        assert_true(facts.tlvs.n > 0);
}

/* The longest facts fit. Encoder and decoder refuse one byte more. */
static void test_limits(void **state) {
        static uint8_t text[FDPASS_CONSUMED_MAX + 1];
        const struct {
                size_t offset, max;
                uint8_t type;
        } limits[] = {
                { offsetof(Message, alpn), FDPASS_TEXT_MAX, FDPASS_TLV_ALPN },
                { offsetof(Message, authority), FDPASS_TEXT_MAX, FDPASS_TLV_AUTHORITY },
                { offsetof(Message, unique_id), FDPASS_UNIQUE_ID_MAX, FDPASS_TLV_UNIQUE_ID },
                { offsetof(Message, route), FDPASS_TEXT_MAX, FDPASS_TLV_ROUTE },
                { offsetof(Message, listener), FDPASS_TEXT_MAX, FDPASS_TLV_LISTENER },
                { offsetof(Message, data), FDPASS_DATA_MAX, FDPASS_TLV_DATA },
                { offsetof(Message, protocol), FDPASS_TEXT_MAX, FDPASS_TLV_PROTOCOL },
                { offsetof(Message, name), FDPASS_TEXT_MAX, FDPASS_TLV_NAME },
                { offsetof(Message, scope), FDPASS_SCOPE_MAX, FDPASS_TLV_SCOPE },
                { offsetof(Message, seal), FDPASS_SEAL_SIZE, FDPASS_TLV_SEAL },
        };
        Message m = everything();
        static Bytes b;
        size_t n;

        memset(text, 'x', sizeof(text));
        m.consumed = (Slice){ text, FDPASS_CONSUMED_MAX };
        for (size_t i = 0; i < ELEMENTSOF(limits); i++)
                *(Slice *) (void *) ((char *) &m + limits[i].offset) = (Slice){ text, limits[i].max };
        assert_round_trip(&m);

        for (size_t i = 0; i < ELEMENTSOF(limits); i++) {
                Message more = m;

                *(Slice *) (void *) ((char *) &more + limits[i].offset) = (Slice){ text, limits[i].max + 1 };
                assert_int_equal(message_encode(&more, b.p, sizeof(b.p), &n), -EMSGSIZE);
                assert_int_equal(decode_tlv(limits[i].type, (Slice){ text, limits[i].max }), 0);
                assert_int_equal(decode_tlv(limits[i].type, (Slice){ text, limits[i].max + 1 }), MESSAGE_INVALID);
        }

        m.consumed.n++;
        assert_int_equal(message_encode(&m, b.p, sizeof(b.p), &n), -EMSGSIZE);

        begin_version(&b);
        set_length(&b);
        add(&b, (Slice){ text, FDPASS_CONSUMED_MAX });
        assert_int_equal(decode(b.p, b.n), 0);
        add(&b, S("x"));
        assert_int_equal(decode(b.p, b.n), MESSAGE_INVALID);

        /* The whole header may be filled by unknown TLVs. */
        begin_version(&b);
        add_tlv(&b, 0x30, (Slice){ text, FDPASS_HEADER_MAX - b.n - 3 });
        assert_int_equal(b.n, FDPASS_HEADER_MAX);
        assert_int_equal(decode_bytes(&b), 0);
        begin_version(&b);
        add_tlv(&b, 0x30, (Slice){ text, FDPASS_HEADER_MAX - b.n - 2 });
        assert_int_equal(decode_bytes(&b), MESSAGE_INVALID);
}

/* The encoder writes nothing behind @size, and the decoder refuses a part of a header. */
static void test_every_size(void **state) {
        Message m = everything();
        static Bytes b;
        size_t n;

        m.consumed = (Slice){};
        encode(&m, &b);

        for (size_t size = 0; size < b.n; size++) {
                uint8_t *room = malloc(size > 0 ? size : 1);

                assert_non_null(room);
                assert_int_equal(message_encode(&m, room, size, &n), -EMSGSIZE);
                free(room);
                assert_int_equal(decode(b.p, size), MESSAGE_INVALID);
        }

        uint8_t *room = malloc(b.n);
        assert_non_null(room);
        assert_int_equal(message_encode(&m, room, b.n, &n), 0);
        assert_int_equal(n, b.n);
        free(room);
}

static void test_texts(void **state) {
        static const uint8_t types[] = { FDPASS_TLV_AUTHORITY, FDPASS_TLV_ROUTE, FDPASS_TLV_LISTENER,
                                         FDPASS_TLV_PROTOCOL, FDPASS_TLV_NAME };
        Message m = MESSAGE_NULL;
        uint8_t room[256];
        size_t n;

        for (size_t i = 0; i < ELEMENTSOF(types); i++) {
                assert_int_equal(decode_tlv(types[i], S("a b")), 0);
                assert_int_equal(decode_tlv(types[i], S("a\0b")), MESSAGE_INVALID);
                assert_int_equal(decode_tlv(types[i], S("a\n")), MESSAGE_INVALID);
                assert_int_equal(decode_tlv(types[i], S("\x7f")), MESSAGE_INVALID);
                assert_int_equal(decode_tlv(types[i], S("")), MESSAGE_INVALID);
        }

        m.route = S("a\nb");
        assert_int_equal(message_encode(&m, room, sizeof(room), &n), -EINVAL);
        m.route = (Slice){};
        m.ssl = S("\1\0\0\0");
        assert_int_equal(message_encode(&m, room, sizeof(room), &n), -EINVAL);
}

/* RESPONSE has a valid status, and its head lies within the consumed bytes. */
static void test_response(void **state) {
        Message m = MESSAGE_NULL;
        uint8_t room[256];
        static Bytes b;
        size_t n;

        assert_int_equal(decode_tlv(FDPASS_TLV_RESPONSE, S("\0\xc8\0\0\0\0")), 0);
        assert_int_equal(decode_tlv(FDPASS_TLV_RESPONSE, S("\2\x57\0\0\0\0")), 0); /* 599 */
        assert_int_equal(decode_tlv(FDPASS_TLV_RESPONSE, S("\2\x58\0\0\0\0")), MESSAGE_INVALID);
        assert_int_equal(decode_tlv(FDPASS_TLV_RESPONSE, S("\0\xc7\0\0\0\0")), MESSAGE_INVALID); /* 199 */
        assert_int_equal(decode_tlv(FDPASS_TLV_RESPONSE, S("\0\0\0\0\0\0")), MESSAGE_INVALID);
        assert_int_equal(decode_tlv(FDPASS_TLV_RESPONSE, S("\0\xc8\0\0\0")), MESSAGE_INVALID);
        assert_int_equal(decode_tlv(FDPASS_TLV_RESPONSE, S("\0\xc8\0\0\0\0\0")), MESSAGE_INVALID);
        assert_int_equal(decode_tlv(FDPASS_TLV_RESPONSE, S("\0\xc8\0\0\0\1")), MESSAGE_INVALID);
        assert_int_equal(decode_tlv(FDPASS_TLV_RESPONSE, S("\0\xc8\xff\xff\xff\xff")), MESSAGE_INVALID);

        begin_version(&b);
        add_tlv(&b, FDPASS_TLV_RESPONSE, S("\0\xc8\0\0\0\0"));
        add_tlv(&b, FDPASS_TLV_RESPONSE, S("\0\xc8\0\0\0\0"));
        assert_int_equal(decode_bytes(&b), MESSAGE_INVALID);

        m.status = 200;
        m.head_length = 1;
        assert_int_equal(message_encode(&m, room, sizeof(room), &n), -EMSGSIZE);
}

static void test_version(void **state) {
        static Bytes b;

        begin(&b);
        assert_int_equal(decode_bytes(&b), MESSAGE_INVALID); /* none */
        add_tlv(&b, FDPASS_TLV_ALPN, S("h2"));               /* a TLV of the PROXY protocol may precede it */
        add_tlv(&b, FDPASS_TLV_VERSION, S("\1"));
        assert_int_equal(decode_bytes(&b), 0);
        add_tlv(&b, FDPASS_TLV_VERSION, S("\1"));
        assert_int_equal(decode_bytes(&b), MESSAGE_INVALID); /* twice */

        begin(&b);
        add_tlv(&b, FDPASS_TLV_ROUTE, S("a.socket"));
        add_tlv(&b, FDPASS_TLV_VERSION, S("\1"));
        assert_int_equal(decode_bytes(&b), MESSAGE_INVALID); /* not first */

        begin(&b);
        add_tlv(&b, FDPASS_TLV_VERSION, S("\2"));
        add_tlv(&b, FDPASS_TLV_ROUTE, S("\0 what that means nobody knows yet"));
        assert_int_equal(decode_bytes(&b), MESSAGE_VERSION);

        begin(&b);
        add_tlv(&b, FDPASS_TLV_VERSION, S("\0"));
        assert_int_equal(decode_bytes(&b), MESSAGE_VERSION);

        begin(&b);
        add_tlv(&b, FDPASS_TLV_VERSION, S(""));
        assert_int_equal(decode_bytes(&b), MESSAGE_INVALID);

        begin(&b);
        add_tlv(&b, FDPASS_TLV_VERSION, S("\1\0"));
        assert_int_equal(decode_bytes(&b), MESSAGE_INVALID);
}

/* The decoder passes over unknown TLVs, and reader_tlv() finds them. */
static void test_unknown(void **state) {
        Slice rest, value;
        static Bytes b;
        uint8_t type;
        Message m;

        begin_version(&b);
        add_tlv(&b, 0xF7, S("later"));
        add_tlv(&b, 0xF7, S("again"));
        add_tlv(&b, 0x04, S("\0\0"));
        add_tlv(&b, 0x30, S("netns"));
        set_length(&b);
        assert_int_equal(message_decode(b.p, b.n, &m), 0);

        rest = m.tlvs;
        assert_true(reader_tlv(&rest, &type, &value));
        assert_int_equal(type, FDPASS_TLV_VERSION);
        assert_true(reader_tlv(&rest, &type, &value));
        assert_int_equal(type, 0xF7);
        assert_slice(value, S("later"));
}

static void test_twice(void **state) {
        static const struct {
                uint8_t type;
                const char *value;
                size_t n;
        } tlvs[] = {
                { FDPASS_TLV_ALPN, "h2", 2 },       { FDPASS_TLV_AUTHORITY, "a", 1 }, { FDPASS_TLV_UNIQUE_ID, "a", 1 },
                { FDPASS_TLV_SSL, "\0\0\0\0\0", 5 }, { FDPASS_TLV_ROUTE, "a", 1 },     { FDPASS_TLV_LISTENER, "a", 1 },
                { FDPASS_TLV_DATA, "a", 1 },        { FDPASS_TLV_NAME, "a", 1 },      { FDPASS_TLV_PROTOCOL, "a", 1 },
                { FDPASS_TLV_DEADLINE, "12345678", 8 }, { FDPASS_TLV_PROXY, "\x30\0\0", 3 },
        };
        static Bytes b;

        for (size_t i = 0; i < ELEMENTSOF(tlvs); i++) {
                Slice value = { (const uint8_t *) tlvs[i].value, tlvs[i].n };

                begin_version(&b);
                add_tlv(&b, tlvs[i].type, value);
                assert_int_equal(decode_bytes(&b), 0);
                add_tlv(&b, tlvs[i].type, value);
                assert_int_equal(decode_bytes(&b), MESSAGE_INVALID);
        }
}

static void test_values(void **state) {
        assert_int_equal(decode_tlv(FDPASS_TLV_DEADLINE, S("1234567")), MESSAGE_INVALID);
        assert_int_equal(decode_tlv(FDPASS_TLV_DEADLINE, S("123456789")), MESSAGE_INVALID);
        assert_int_equal(decode_tlv(FDPASS_TLV_DEADLINE, S("\xff\xff\xff\xff\xff\xff\xff\xff")), MESSAGE_INVALID);

        assert_int_equal(decode_tlv(FDPASS_TLV_SSL, S("\1\0\0\0")), MESSAGE_INVALID);
        assert_int_equal(decode_tlv(FDPASS_TLV_SSL, S("\1\0\0\0\0\x21\0\2T")), MESSAGE_INVALID);
        assert_int_equal(decode_tlv(FDPASS_TLV_SSL, S("\1\0\0\0\0\x21\0")), MESSAGE_INVALID);
        assert_int_equal(decode_tlv(FDPASS_TLV_SSL, S("\1\0\0\0\0\x21\0\1T")), 0);

        assert_int_equal(decode_tlv(FDPASS_TLV_DATA, S("")), MESSAGE_INVALID);
}

/* Counts the TLVs of this type in the header. */
static unsigned count_tlvs(const Message *m, uint8_t wanted) {
        Slice rest = m->tlvs, value;
        unsigned n = 0;
        uint8_t type;

        while (reader_tlv(&rest, &type, &value))
                n += type == wanted;
        return n;
}

/* TLVs of a proxy are copied to where parsers of the PROXY protocol look, except for types that are ours. */
static void test_proxy_copies(void **state) {
        static Bytes run, b;
        Message m = MESSAGE_NULL, got;

        for (unsigned type = 0; type < 256; type++) {
                bool is_vendors = type == 0xEA || type == 0xEE;
                bool is_ours = (type >= 0xE0 && type <= 0xEF && !is_vendors) || (type >= 0x01 && type <= 0x05) ||
                               type == 0x20;

                run.n = 0;
                add_tlv(&run, (uint8_t) type, S("first"));
                add_tlv(&run, (uint8_t) type, S("second"));
                m.proxy = (Slice){ run.p, run.n };
                encode(&m, &b);
                assert_int_equal(message_decode(b.p, b.n, &got), 0);
                assert_slice(got.proxy, m.proxy);

                if (type == FDPASS_TLV_VERSION || type == FDPASS_TLV_PROXY)
                        assert_int_equal(count_tlvs(&got, (uint8_t) type), 1);
                else
                        assert_int_equal(count_tlvs(&got, (uint8_t) type), !is_ours);
                if (!is_ours)
                        assert_slice(slice_find_tlv(got.tlvs, type), S("first"));
        }
}

/* The value of PROXY is at most 1024 bytes of whole TLVs. With all other facts at their limits the header fits. */
static void test_proxy_limits(void **state) {
        static const Slice wrong[] = { SLICE_LITERAL("\x30"), SLICE_LITERAL("\x30\0"), SLICE_LITERAL("\x30\0\x01"),
                                       SLICE_LITERAL("\x30\0\0\x30") };
        static uint8_t text[FDPASS_DATA_MAX], ssl[FDPASS_SSL_MAX];
        Message m = everything();
        static Bytes run, b;
        size_t n;

        run.n = 0;
        for (unsigned i = 0; run.n + 7 <= FDPASS_PROXY_MAX - 2; i++)
                add_tlv(&run, (uint8_t) (0x30 + i), S("four"));
        while (run.n + 3 <= FDPASS_PROXY_MAX)
                add_tlv(&run, 0x30, run.n + 4 == FDPASS_PROXY_MAX ? S("x") : S(""));

        memset(text, 'x', sizeof(text));
        m.alpn = m.authority = m.route = m.listener = m.protocol = m.name = (Slice){ text, FDPASS_TEXT_MAX };
        m.unique_id = (Slice){ text, FDPASS_UNIQUE_ID_MAX };
        m.data = (Slice){ text, FDPASS_DATA_MAX };
        memcpy(ssl, "\x01\0\0\0\0\x21\x03\xf8", 8);
        m.ssl = (Slice){ ssl, sizeof(ssl) };
        m.proxy = (Slice){ run.p, run.n };
        m.consumed = S("GET / HTTP/1.1\r\n\r\n");
        m.persistent_max = 16;
        m.status = 200;
        m.head_length = 1;
        assert_true(run.n > FDPASS_PROXY_MAX - 3);
        assert_round_trip(&m);

        add_tlv(&run, 0x31, S("one"));
        m.proxy.n = run.n;
        assert_int_equal(message_encode(&m, b.p, sizeof(b.p), &n), -EMSGSIZE);
        assert_int_equal(decode_tlv(FDPASS_TLV_PROXY, m.proxy), MESSAGE_INVALID);

        for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
                m.proxy = wrong[i];
                assert_int_equal(message_encode(&m, b.p, sizeof(b.p), &n), -EINVAL);
                assert_int_equal(decode_tlv(FDPASS_TLV_PROXY, wrong[i]), MESSAGE_INVALID);
        }
}

/* Bytes 12 and 13: the command PROXY only, and TCP or UNSPEC only. */
static void test_prefix(void **state) {
        static Bytes b;

        for (unsigned i = 0; i < 256; i++) {
                begin_version(&b);
                b.p[12] = (uint8_t) i;
                assert_int_equal(decode_bytes(&b), i == 0x21 ? 0 : MESSAGE_INVALID);

                begin(&b);
                add(&b, S("0123456789ab0123456789ab0123456789ab")); /* 36 */
                add_tlv(&b, FDPASS_TLV_VERSION, S("\1"));
                b.p[13] = (uint8_t) i;
                assert_int_equal(decode_bytes(&b), i == 0x21 ? 0 : MESSAGE_INVALID);
        }

        /* Too short for its addresses. */
        begin(&b);
        add_tlv(&b, FDPASS_TLV_VERSION, S("\1"));
        b.p[13] = 0x11;
        assert_int_equal(decode_bytes(&b), MESSAGE_INVALID);

        /* Any other signature. */
        for (size_t i = 0; i < 12; i++) {
                begin_version(&b);
                b.p[i] ^= 0x20;
                assert_int_equal(decode_bytes(&b), MESSAGE_INVALID);
        }

        assert_int_equal(decode((const uint8_t *) "PROXY UNKNOWN\r\n", 15), MESSAGE_INVALID);
        assert_int_equal(decode((const uint8_t *) "", 0), MESSAGE_INVALID);
        assert_int_equal(decode((const uint8_t *) "\0", 1), MESSAGE_INVALID);
}

static void test_checksum(void **state) {
        static Bytes b;
        uint32_t crc;

        begin_version(&b);
        add_tlv(&b, FDPASS_TLV_CRC32C, S("\0\0\0\0"));
        set_length(&b);
        assert_int_equal(decode(b.p, b.n), MESSAGE_INVALID);

        crc = ~crc32c_add(CRC32C_INIT, (Slice){ b.p, b.n });
        for (size_t i = 0; i < 4; i++)
                b.p[b.n - 4 + i] = (uint8_t) (crc >> (24 - 8 * i));
        assert_int_equal(decode(b.p, b.n), 0);

        b.p[b.n - 1] ^= 1;
        assert_int_equal(decode(b.p, b.n), MESSAGE_INVALID);
        b.p[b.n - 1] ^= 1;

        /* The checksum does not cover the consumed bytes. */
        add(&b, S("consumed"));
        assert_int_equal(decode(b.p, b.n), 0);

        assert_int_equal(decode_tlv(FDPASS_TLV_CRC32C, S("\0\0\0")), MESSAGE_INVALID);
        assert_int_equal(decode_tlv(FDPASS_TLV_CRC32C, S("\0\0\0\0\0")), MESSAGE_INVALID);
}

static void test_address_set(void **state) {
        struct sockaddr_storage unknown = { .ss_family = AF_UNIX };
        MessageAddress a = address6("::1", 7), b;

        message_address_set(&b, &a.sa, sizeof(a.in6));
        assert_memory_equal(&a, &b, sizeof(a));
        message_address_set(&b, &a.sa, sizeof(a.in6) - 1);
        assert_int_equal(b.sa.sa_family, AF_UNSPEC);
        message_address_set(&b, (struct sockaddr *) &unknown, sizeof(unknown));
        assert_int_equal(message_address_length(&b), 0);
}

/* Reads the dump in the manual page: lines of an offset, up to 16 bytes, and the same as text. */
static void read_dump(Bytes *ret) {
        _cleanup_fclose_ FILE *f = NULL;
        char path[4096], line[256];

        assert_true(snprintf(path, sizeof(path), "%s/../src/man/fdpass-protocol.7.scd", TESTS_DIR) <
                    (int) sizeof(path));
        f = fopen(path, "re");
        assert_non_null(f);

        ret->n = 0;
        while (fgets(line, sizeof(line), f)) {
                unsigned offset, byte;
                int used, more;

                if (sscanf(line, " %4x  %n%2x", &offset, &used, &byte) != 2 || offset != ret->n || !strchr(line, '|'))
                        continue;

                for (const char *p = line + used; sscanf(p, "%2x%n", &byte, &more) == 1 && isxdigit(p[0]); p += more) {
                        uint8_t b = (uint8_t) byte;

                        add(ret, (Slice){ &b, 1 });
                        while (p[more] == ' ')
                                more++;
                }
        }
}

/* The dump in the manual page is what the encoder writes, and the decoder reads it. */
static void test_manual_page(void **state) {
        static Bytes page, encoded;
        Message m = example(), got;

        read_dump(&page);
        encode(&m, &encoded);
        assert_int_equal(page.n, encoded.n);
        assert_memory_equal(page.p, encoded.p, page.n);

        assert_int_equal(message_decode(page.p, page.n, &got), 0);
        assert_same(&m, &got);
}

TEST_MAIN(TEST(test_round_trip),
          TEST(test_mixed_addresses),
          TEST(test_is_proxy_header),
          TEST(test_limits),
          TEST(test_every_size),
          TEST(test_texts),
          TEST(test_version),
          TEST(test_response),
          TEST(test_unknown),
          TEST(test_twice),
          TEST(test_values),
          TEST(test_proxy_copies),
          TEST(test_proxy_limits),
          TEST(test_prefix),
          TEST(test_checksum),
          TEST(test_address_set),
          TEST(test_manual_page))
