/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "test-probe.h"

#include <netinet/in.h>
#include <sys/un.h>

#include "probe/crc32c.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

/* The address blocks: 192.0.2.1:40000 → 198.51.100.2:443, and the same with 2001:db8::1 and ::2. */
#define IN4 "\xc0\x00\x02\x01\xc6\x33\x64\x02\x9c\x40\x01\xbb"
#define IN6 "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02\x9c\x40\x01\xbb"

static ProbeText text;

static const char *text_of(Slice s) {
        (void) probe_text_proxy(&text, s.p, s.n);
        return text.text;
}

/*
 * Each line, and what is read from it. Section 2.1; the three examples are those of the specification's
 * grammar.
 */
static void test_v1(void **state _unused_) {
        static const struct {
                Slice line;
                const char *wanted;
        } cases[] = {
#define GOOD(line, addresses, length) \
                { SLICE_LITERAL(line), "match proxy version=1 local=0 " addresses " length=" length " tlvs=" }
#define BAD(line) { SLICE_LITERAL(line), "malformed proxy reason=proxy-v1" }

                GOOD("PROXY TCP4 192.0.2.1 198.51.100.2 40000 443\r\n", "type=1 source=192.0.2.1:40000 destination=198.51.100.2:443", "45"),
                GOOD("PROXY TCP4 192.0.2.1 198.51.100.2 0 65535\r\nGET", "type=1 source=192.0.2.1:0 destination=198.51.100.2:65535", "43"),
                GOOD("PROXY TCP6 2001:db8::1 2001:DB8::2 1 2\r\n", "type=1 source=[2001:db8::1]:1 destination=[2001:db8::2]:2", "40"),
                GOOD("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
                     "type=1 source=[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535 "
                     "destination=[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", "104"),
                GOOD("PROXY UNKNOWN\r\n", "type=0 source=- destination=-", "15"),
                GOOD("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
                     "type=0 source=- destination=-", "107"),
                GOOD("PROXY UNKNOWN anything  at all \r\n", "type=0 source=- destination=-", "33"),

                BAD("PROXY UNKNOWN fffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
                BAD("PROXY UNKNOWNX\r\n"),
                BAD("PROXY \r\n"),
                BAD("PROXY TCP4\r\n"),
                BAD("PROXY TCP5 192.0.2.1 198.51.100.2 1 2\r\n"),
                BAD("PROXY tcp4 192.0.2.1 198.51.100.2 1 2\r\n"),
                BAD("PROXY UDP4 192.0.2.1 198.51.100.2 1 2\r\n"),
                BAD("PROXY  TCP4 192.0.2.1 198.51.100.2 1 2\r\n"),
                BAD("PROXY TCP4  192.0.2.1 198.51.100.2 1 2\r\n"),
                BAD("PROXY TCP4 192.0.2.1 198.51.100.2 1 2 \r\n"),
                BAD("PROXY TCP4 192.0.2.1 198.51.100.2 1 2 3\r\n"),
                BAD("PROXY TCP4 192.0.2.1 198.51.100.2 1\r\n"),
                BAD("PROXY TCP4 192.0.2.1 198.51.100.2 1 \r\n"),
                BAD("PROXY TCP4 192.0.2.1 198.51.100.2\r\n"),
                BAD("PROXY TCP4 192.0.2.1 198.51.100.2 1 65536\r\n"),
                BAD("PROXY TCP4 192.0.2.1 198.51.100.2 1 100000\r\n"),
                BAD("PROXY TCP4 192.0.2.1 198.51.100.2 01 2\r\n"),
                BAD("PROXY TCP4 192.0.2.1 198.51.100.2 1 2x\r\n"),
                BAD("PROXY TCP4 192.0.2.1 198.51.100.2 -1 2\r\n"),
                BAD("PROXY TCP4 192.0.2.01 198.51.100.2 1 2\r\n"),
                BAD("PROXY TCP4 192.0.2 198.51.100.2 1 2\r\n"),
                BAD("PROXY TCP4 192.0.2.256 198.51.100.2 1 2\r\n"),
                BAD("PROXY TCP4 ::1 198.51.100.2 1 2\r\n"),
                BAD("PROXY TCP6 192.0.2.1 198.51.100.2 1 2\r\n"),
                BAD("PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n"),
                BAD("PROXY TCP6 [::1] ::1 1 2\r\n"),
                BAD("PROXY TCP4 192.0.2.1 198.51.100.2 1 2\n"),
                BAD("PROXY TCP4 192.0.2.1 198.51.100.2 1 2\rX"),
                BAD("PROXY TCP4 192.0.2.1\0 198.51.100.2 1 2\r\n"),
                BAD("PROXY TCP4\t192.0.2.1 198.51.100.2 1 2\r\n"),

                { SLICE_LITERAL("PROXY TCP4 192.0.2.1 198.51.100.2 1 2\r"), "need-more proxy" },
                { SLICE_LITERAL("PROXY"), "need-more proxy" },
                { SLICE_LITERAL(""), "need-more proxy" },
                { SLICE_LITERAL("PROXYX"), "no-match proxy" },
                { SLICE_LITERAL("proxy TCP4 192.0.2.1 198.51.100.2 1 2\r\n"), "no-match proxy" },
                { SLICE_LITERAL("GET / HTTP/1.1\r\n"), "no-match proxy" },
#undef GOOD
#undef BAD
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                assert_string_equal(text_of(cases[i].line), cases[i].wanted);
                (void) assert_split_invariant(cases[i].line.p, cases[i].line.n, 0, text_proxy);
        }
}

/* Section 2.2. The length stands in the two bytes behind the family. */
static void test_v2(void **state _unused_) {
        static const struct {
                Slice header;
                const char *wanted;
        } cases[] = {
#define GOOD(header, command, addresses, length, tlvs)                                                           \
                { SLICE_LITERAL(SIGNATURE header),                                                                \
                  "match proxy version=2 local=" command " " addresses " length=" length " tlvs=" tlvs }
#define BAD(header, reason) { SLICE_LITERAL(SIGNATURE header), "malformed proxy reason=" reason }
#define ADDRESSES4 "source=192.0.2.1:40000 destination=198.51.100.2:443"
#define ADDRESSES6 "source=[2001:db8::1]:40000 destination=[2001:db8::2]:443"

                GOOD("\x21\x11\0\x0c" IN4, "0", "type=1 " ADDRESSES4, "28", ""),
                GOOD("\x21\x11\0\x0c" IN4 "GET", "0", "type=1 " ADDRESSES4, "28", ""),
                GOOD("\x21\x12\0\x0c" IN4, "0", "type=2 " ADDRESSES4, "28", ""),
                GOOD("\x21\x21\0\x24" IN6, "0", "type=1 " ADDRESSES6, "52", ""),
                GOOD("\x21\x22\0\x24" IN6, "0", "type=2 " ADDRESSES6, "52", ""),

                /* TLVs: ALPN, an authority, an empty one, one of our own. */
                GOOD("\x21\x11\0\x1f" IN4 "\x01\0\x02h2" "\x02\0\x03" "a.b" "\x04\0\0" "\xe0\0\x02\xff\0", "0", "type=1 " ADDRESSES4,
                     "47", "01:h2,02:a.b,04:,e0:\\xff\\x00,"),

                /* LOCAL: whatever the block holds, it is passed over. */
                GOOD("\x20\0\0\0", "1", "type=0 source=- destination=-", "16", ""),
                GOOD("\x20\x11\0\x0c" IN4, "1", "type=0 source=- destination=-", "28", ""),
                GOOD("\x20\x77\0\x03xyz", "1", "type=0 source=- destination=-", "19", ""),

                /* UNSPEC: no addresses. */
                GOOD("\x21\0\0\0", "0", "type=0 source=- destination=-", "16", ""),
                GOOD("\x21\0\0\x03\x04\0\0", "0", "type=0 source=- destination=-", "19", "04:,"),

                BAD("\x11\x11\0\x0c" IN4, "proxy-version"),
                BAD("\x31\x11\0\x0c" IN4, "proxy-version"),
                BAD("\x22\x11\0\x0c" IN4, "proxy-version"),
                BAD("\x2f\x11\0\x0c" IN4, "proxy-version"),
                BAD("\x21\x10\0\x0c" IN4, "proxy-family"),
                BAD("\x21\x13\0\x0c" IN4, "proxy-family"),
                BAD("\x21\x01\0\x0c" IN4, "proxy-family"),
                BAD("\x21\x41\0\x0c" IN4, "proxy-family"),
                BAD("\x21\xff\0\x0c" IN4, "proxy-family"),
                BAD("\x21\x11\0\x0b" IN4, "proxy-length"),
                BAD("\x21\x11\0\0", "proxy-length"),
                BAD("\x21\x21\0\x0c" IN4, "proxy-length"),
                BAD("\x21\x31\0\x0c" IN4, "proxy-length"),
                BAD("\x21\x11\x10\x01", "proxy-length"), /* 4097: before a byte of it came */
                BAD("\x20\0\xff\xff", "proxy-length"),
                BAD("\x21\x11\0\x0d" IN4 "\x04", "proxy-tlv"),
                BAD("\x21\x11\0\x0e" IN4 "\x04\0", "proxy-tlv"),
                BAD("\x21\x11\0\x0f" IN4 "\x04\0\x01", "proxy-tlv"),
                BAD("\x21\x11\0\x10" IN4 "\x04\xff\xff" "a", "proxy-tlv"),
                BAD("\x21\x11\0\x0f" IN4 "\x03\0\0", "proxy-tlv"),
                BAD("\x21\x11\0\x12" IN4 "\x03\0\x03" "abc", "proxy-tlv"),
                BAD("\x21\x11\0\x14" IN4 "\x03\0\x05" "abcde", "proxy-tlv"),
                BAD("\x21\x11\0\x13" IN4 "\x03\0\x04" "\0\0\0\0", "proxy-checksum"),

                { SLICE_LITERAL(SIGNATURE "\x21\x11\0\x0c"), "need-more proxy" },
                { SLICE_LITERAL(SIGNATURE "\x21\x11\0"), "need-more proxy" },
                { SLICE_LITERAL(SIGNATURE), "need-more proxy" },
                { SLICE_LITERAL("\r\n\r\n\0\r\nQUIT\r"), "no-match proxy" },
                { SLICE_LITERAL("\r\n\r\nGET"), "no-match proxy" },
#undef GOOD
#undef BAD
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                assert_string_equal(text_of(cases[i].header), cases[i].wanted);
                (void) assert_split_invariant(cases[i].header.p, cases[i].header.n, 0, text_proxy);
        }
}

/* Two paths of 108 bytes: a short one, none, and one that fills the field without a NUL. */
static void test_v2_unix(void **state _unused_) {
        uint8_t header[16 + 216] = SIGNATURE "\x21\x31\0\xd8";
        struct sockaddr_un un;
        ProxyFacts f;

        memcpy(header + 16, "/run/a", 6);
        assert_int_equal(probe_proxy(header, sizeof(header), &f), PROBE_MATCH);
        assert_int_equal(f.type, SOCK_STREAM);
        memcpy(&un, &f.source, sizeof(un));
        assert_int_equal(un.sun_family, AF_UNIX);
        assert_string_equal(un.sun_path, "/run/a");
        assert_int_equal(f.source_length, offsetof(struct sockaddr_un, sun_path) + 7);
        assert_int_equal(f.destination_length, offsetof(struct sockaddr_un, sun_path));

        memset(header + 16, 'p', 216);
        header[13] = 0x32;
        assert_int_equal(probe_proxy(header, sizeof(header), &f), PROBE_MATCH);
        assert_int_equal(f.type, SOCK_DGRAM);
        assert_int_equal(f.source_length, sizeof(struct sockaddr_un));
        memcpy(&un, &f.destination, sizeof(un));
        assert_memory_equal(un.sun_path, header + 16, sizeof(un.sun_path));
}

/* The checksum covers every byte of the header but itself, wherever it stands, and may be there once. */
static void test_v2_checksum(void **state _unused_) {
        static const char before[] = SIGNATURE "\x21\x11\0\x1d" IN4 "\x01\0\x02h2" "\x03\0\x04";
        uint8_t header[45];
        uint32_t crc;
        ProxyFacts f;

        memset(header, 0, sizeof(header));
        memcpy(header, before, 36);
        memcpy(header + 40, "\x04\0\x02xy", 5);

        crc = ~crc32c_add(CRC32C_INIT, (Slice){ header, sizeof(header) });
        for (unsigned i = 0; i < 4; i++)
                header[36 + i] = (uint8_t) (crc >> (24 - 8 * i));

        assert_int_equal(probe_proxy(header, sizeof(header), &f), PROBE_MATCH);
        (void) assert_split_invariant(header, sizeof(header), 0, text_proxy);

        for (size_t i = 16; i < sizeof(header); i++) {
                if (i == 33) /* the checksum's own type: as another TLV it would be none */
                        continue;

                header[i] ^= 0x10;
                assert_int_not_equal(probe_proxy(header, sizeof(header), &f), PROBE_MATCH);
                header[i] ^= 0x10;
        }

        /* The NOOP becomes a second checksum, of a wrong size even. */
        header[40] = PROXY_TLV_CRC32C;
        assert_int_equal(probe_proxy(header, sizeof(header), &f), PROBE_MALFORMED);
}

/* CRC-32C by its published check value, and two vectors of RFC 3720 B.4. */
static void test_crc32c(void **state _unused_) {
        static const uint8_t zeros[32] = {};
        uint8_t ones[32];
        uint32_t crc;

        memset(ones, 0xff, sizeof(ones));
        assert_int_equal(~crc32c_add(CRC32C_INIT, SLICE_LITERAL("123456789")), 0xe3069283);
        assert_int_equal(~crc32c_add(CRC32C_INIT, (Slice){ zeros, sizeof(zeros) }), 0x8a9136aa);
        assert_int_equal(~crc32c_add(CRC32C_INIT, (Slice){ ones, sizeof(ones) }), 0x62a8ab43);

        /* The same in two pieces. */
        crc = crc32c_add(CRC32C_INIT, SLICE_LITERAL("1234"));
        assert_int_equal(~crc32c_add(crc, SLICE_LITERAL("56789")), 0xe3069283);
}

/* 536 bytes have to be taken (section 2.2), 4096 behind the fixed part are the most. */
static void test_v2_sizes(void **state _unused_) {
        static uint8_t header[16 + 4096 + 100];
        ProxyFacts f;

        for (size_t length = 15; length <= 4096; length += 1) {
                memset(header, 0, sizeof(header));
                memcpy(header, SIGNATURE "\x21\x11\0\0" IN4 "\x04", 29);
                header[14] = (uint8_t) (length >> 8);
                header[15] = (uint8_t) length;
                header[29] = (uint8_t) ((length - 15) >> 8);
                header[30] = (uint8_t) (length - 15);

                assert_int_equal(probe_proxy(header, sizeof(header), &f), PROBE_MATCH);
                assert_int_equal(f.header_length, 16 + length);
                assert_int_equal(f.tlvs.n, length - 12);
                assert_int_equal(probe_proxy(header, 16 + length - 1, &f), PROBE_NEED_MORE);
        }
}

/* The TLVs inside the SSL one are read by the same walk. */
static void test_v2_ssl(void **state _unused_) {
        static const Slice header = SLICE_LITERAL(SIGNATURE "\x21\x11\0\x23" IN4
                                                  "\x20\0\x14\x01\0\0\0\0\x21\0\x07TLSv1.3\x22\0\x02" "CN");
        Slice value = {}, inner;
        ProxyFacts f;
        uint8_t type;

        assert_int_equal(probe_proxy(header.p, header.n, &f), PROBE_MATCH);
        assert_true(reader_tlv(&f.tlvs, &type, &value));
        assert_int_equal(type, PROXY_TLV_SSL);

        inner = slice_skip(value, 5);
        assert_true(reader_tlv(&inner, &type, &value));
        assert_int_equal(type, 0x21);
        assert_true(slice_equal(value, SLICE_LITERAL("TLSv1.3")));
        assert_true(reader_tlv(&inner, &type, &value));
        assert_int_equal(type, 0x22);
        assert_false(reader_tlv(&inner, &type, &value));
        assert_false(reader_tlv(&f.tlvs, &type, &value));
}

/*
 * If no header is expected, the first bytes are enough to see one. A request with the method PROXY is no header.
 */
static void test_signature(void **state _unused_) {
        static const struct {
                Slice s;
                ProbeVerdict verdict;
        } cases[] = {
                { SLICE_LITERAL(SIGNATURE), PROBE_MATCH },
                { SLICE_LITERAL("PROXY TCP4 "), PROBE_MATCH },
                { SLICE_LITERAL("PROXY TCP6 x"), PROBE_MATCH },
                { SLICE_LITERAL("PROXY UNKNOWN"), PROBE_MATCH },
                { SLICE_LITERAL("PROXY T"), PROBE_NEED_MORE },
                { SLICE_LITERAL("\r\n\r\n"), PROBE_NEED_MORE },
                { SLICE_LITERAL(""), PROBE_NEED_MORE },
                { SLICE_LITERAL("PROXY /x HTTP/1.1\r\n"), PROBE_NO_MATCH },
                { SLICE_LITERAL("\r\n\r\nG"), PROBE_NO_MATCH },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_int_equal(probe_proxy_signature(cases[i].s.p, cases[i].s.n), cases[i].verdict);
}

TEST_MAIN(TEST(test_v1),
          TEST(test_v2),
          TEST(test_v2_unix),
          TEST(test_v2_checksum),
          TEST(test_crc32c),
          TEST(test_v2_sizes),
          TEST(test_v2_ssl),
          TEST(test_signature))
