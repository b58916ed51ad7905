/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Messages as PROXY headers: TLVs of other proxies, sizes, checksums and addresses. */

#include "message-fixture.h"

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

TEST_MAIN(TEST(test_proxy_copies),
          TEST(test_proxy_limits),
          TEST(test_prefix),
          TEST(test_checksum),
          TEST(test_address_set))
