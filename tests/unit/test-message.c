/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "message-fixture.h"

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
          TEST(test_response),
          TEST(test_version),
          TEST(test_unknown),
          TEST(test_twice),
          TEST(test_values),
          TEST(test_manual_page))
