/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "probe/tls.h"

#include <arpa/inet.h>

/* The only type of a name in server_name that is defined (RFC 6066 3). */
#define NAME_TYPE_HOST_NAME 0

/* RFC 8446 5.1 */
#define RECORD_HEADER_SIZE 5
#define RECORD_MAX 16384
#define RECORD_TYPE_HANDSHAKE 22

/* RFC 8446 4 */
#define MESSAGE_HEADER_SIZE 4
#define MESSAGE_CLIENT_HELLO 1

/* RFC 8446 4.1.2, in bytes. */
#define SESSION_ID_MAX 32

/* https://www.iana.org/assignments/tls-extensiontype-values */
enum {
        EXTENSION_SERVER_NAME = 0,
        EXTENSION_ALPN = 16,
        EXTENSION_SUPPORTED_VERSIONS = 43,
        EXTENSION_ECH = 0xfe0d,
};

/* A set of extension types. Its 8 KiB cover all types, so that a client may send any number of extensions. */
typedef struct TlsTypeSet {
        uint64_t bits[(UINT16_MAX + 1) / 64];
} TlsTypeSet;

static ProbeVerdict tls_malformed(TlsFacts *facts, ProbeReason reason) {
        facts->reason = reason;
        return PROBE_MALFORMED;
}

/* GREASE values: 0x0a0a, 0x1a1a, … 0xfafa (RFC 8701 2). */
static bool tls_is_grease(uint16_t v) {
        return (v & 0x0f0f) == 0x0a0a && v >> 8 == (v & 0xff);
}

/* Reads @n bytes into @ret, or skips them if it is NULL. tls_find_hello() has checked the record headers. */
static bool tls_read(TlsReader *r, size_t n, uint8_t *ret) {
        if (n > r->n)
                return false;

        while (n > 0) {
                size_t k;

                if (r->in_record == 0) {
                        Slice header;
                        uint16_t length;

                        if (!reader_take(&r->bytes, RECORD_HEADER_SIZE - 2, &header) ||
                            !reader_u16(&r->bytes, &length))
                                return false;
                        r->in_record = length;
                }

                k = MIN(n, r->in_record);
                k = MIN(k, r->bytes.n);
                if (k == 0)
                        return false;

                if (ret) {
                        memcpy(ret, r->bytes.p, k);
                        ret += k;
                }

                r->bytes = slice_skip(r->bytes, k);
                r->in_record -= k;
                r->n -= k;
                n -= k;
        }

        return true;
}

static bool tls_u8(TlsReader *r, uint8_t *ret) {
        return tls_read(r, 1, ret);
}

static bool tls_u16(TlsReader *r, uint16_t *ret) {
        uint8_t b[2];

        if (!tls_read(r, sizeof(b), b))
                return false;

        *ret = (uint16_t) (b[0] << 8 | b[1]);
        return true;
}

/* Sets *ret to a reader of the next @n bytes and skips them. */
static bool tls_sub(TlsReader *r, size_t n, TlsReader *ret) {
        TlsReader sub = *r;

        if (!tls_read(r, n, NULL))
                return false;

        sub.n = n;
        *ret = sub;
        return true;
}

/* Reads a vector, whose length precedes it in one byte or in two (RFC 8446 3.4). */
static bool tls_vector8(TlsReader *r, TlsReader *ret) {
        uint8_t n;

        return tls_u8(r, &n) && tls_sub(r, n, ret);
}

static bool tls_vector16(TlsReader *r, TlsReader *ret) {
        uint16_t n;

        return tls_u16(r, &n) && tls_sub(r, n, ret);
}

/*
 * Matches a hello of SSL 2.0, in which old clients offered TLS too (RFC 5246 E.2). It begins with two bytes of length
 * with the top bit set, type 1, and the version.
 */
static ProbeVerdict tls_match_sslv2(Slice s) {
        static const uint8_t mask[] = { 0x80, 0, 0xff }, wanted[] = { 0x80, 0, MESSAGE_CLIENT_HELLO };

        for (size_t i = 0; i < MIN(s.n, sizeof(mask)); i++)
                if ((s.p[i] & mask[i]) != wanted[i])
                        return PROBE_NO_MATCH;

        if (s.n > 3 && s.p[3] != 0 && s.p[3] != 3)
                return PROBE_NO_MATCH;
        if (s.n < 5)
                return PROBE_NEED_MORE;

        return (s.p[3] == 0 && s.p[4] == 2) || (s.p[3] == 3 && s.p[4] <= 4) ? PROBE_MATCH : PROBE_NO_MATCH;
}

/*
 * Checks the header of a record, which may be incomplete. The bytes of the first record may be another protocol until
 * type and major version are right.
 */
static ProbeVerdict tls_check_record(Slice s, bool is_first, TlsFacts *facts, size_t *ret_length) {
        if (s.n >= 1 && s.p[0] != RECORD_TYPE_HANDSHAKE)
                return is_first ? PROBE_NO_MATCH : tls_malformed(facts, PROBE_REASON_TLS_RECORD_TYPE);
        if (s.n >= 2 && s.p[1] != 3)
                return is_first ? PROBE_NO_MATCH : tls_malformed(facts, PROBE_REASON_TLS_VERSION);
        if (s.n < RECORD_HEADER_SIZE)
                return PROBE_NEED_MORE;

        *ret_length = (size_t) s.p[3] << 8 | s.p[4];
        if (*ret_length == 0 || *ret_length > RECORD_MAX)
                return tls_malformed(facts, PROBE_REASON_TLS_RECORD_LENGTH);

        return PROBE_MATCH;
}

/* Sets *ret_size to the size of the message with its header; 0 if @header, its first bytes, is incomplete. */
static ProbeVerdict tls_check_message(Slice header, size_t max, TlsFacts *facts, size_t *ret_size) {
        if (header.n >= 1 && header.p[0] != MESSAGE_CLIENT_HELLO)
                return tls_malformed(facts, PROBE_REASON_TLS_MESSAGE);

        *ret_size = 0;
        if (header.n < MESSAGE_HEADER_SIZE)
                return PROBE_MATCH;

        *ret_size = MESSAGE_HEADER_SIZE +
                    ((size_t) header.p[1] << 16 | (size_t) header.p[2] << 8 | header.p[3]);
        return *ret_size > max ? tls_malformed(facts, PROBE_REASON_TOO_LARGE) : PROBE_MATCH;
}

/*
 * Finds the records that contain the hello. The last record must end with the hello. A message before a change of keys
 * ends with its record (RFC 8446 5.1), and a client sends nothing more before the answer of the server.
 */
static ProbeVerdict tls_find_hello(Slice s, size_t max, TlsFacts *facts, TlsReader *ret) {
        uint8_t header[MESSAGE_HEADER_SIZE];
        size_t have = 0, size = 0, pos = 0, length;

        do {
                Slice rest = slice_skip(s, pos), body;
                size_t k = 0;
                ProbeVerdict v;

                v = tls_check_record(rest, pos == 0, facts, &length);
                if (v != PROBE_MATCH)
                        return v;

                body = slice_head(slice_skip(rest, RECORD_HEADER_SIZE), length);

                if (have < sizeof(header)) {
                        k = MIN(sizeof(header) - have, body.n);
                        memcpy(header + have, body.p, k);

                        v = tls_check_message((Slice){ header, have + k }, max, facts, &size);
                        if (v != PROBE_MATCH)
                                return v;
                }

                if (size > 0 && have + length > size)
                        return tls_malformed(facts, PROBE_REASON_TLS_TRAILING);
                if (body.n < length)
                        return PROBE_NEED_MORE;

                have += length;
                pos += RECORD_HEADER_SIZE + length;
        } while (size == 0 || have < size);

        facts->hello_length = pos;
        *ret = (TlsReader){ .bytes = slice_head(s, pos), .n = size };
        return PROBE_MATCH;
}

/* Sets *ret if the bytes of @r are the name of a host. An IPv4 address is none, and an IPv6 address has colons. */
static bool tls_read_name(TlsReader r, ProbeName *ret) {
        uint8_t bytes[PROBE_NAME_MAX];
        struct in_addr address;
        size_t n = r.n;

        return n <= sizeof(bytes) && tls_read(&r, n, bytes) && probe_name_set(ret, (Slice){ bytes, n }) &&
               inet_pton(AF_INET, ret->text, &address) != 1;
}

/*
 * Parses server_name (RFC 6066 3): a list with at most one name of a type, of which "host_name" is the only one. Two of
 * these are malformed, because servers choose different ones. A name beside one of another type is not used, because
 * some servers read the first entry only.
 */
static ProbeVerdict tls_parse_server_name(TlsReader r, TlsFacts *facts) {
        size_t n_hosts = 0, n_others = 0;
        TlsReader list, name, host = {};
        uint8_t type;

        if (!tls_vector16(&r, &list) || r.n > 0 || list.n == 0)
                return tls_malformed(facts, PROBE_REASON_TLS_DECODE);

        while (list.n > 0) {
                if (!tls_u8(&list, &type) || !tls_vector16(&list, &name))
                        return tls_malformed(facts, PROBE_REASON_TLS_DECODE);

                if (type == NAME_TYPE_HOST_NAME) {
                        host = name;
                        n_hosts++;
                } else
                        n_others++;
        }

        if (n_hosts > 1)
                return tls_malformed(facts, PROBE_REASON_TLS_NAME);

        if (n_hosts == 0 || n_others > 0 || !tls_read_name(host, &facts->name)) {
                facts->name = (ProbeName){};
                facts->name_is_unusable = true;
        }

        return PROBE_MATCH;
}

/* Parses the list of protocols (RFC 7301 3.1): at least one, and none is empty. */
static ProbeVerdict tls_parse_alpn(TlsReader r, TlsFacts *facts) {
        TlsReader list, protocol;

        if (!tls_vector16(&r, &list) || r.n > 0 || list.n == 0)
                return tls_malformed(facts, PROBE_REASON_TLS_DECODE);

        facts->alpn = list;

        while (list.n > 0)
                if (!tls_vector8(&list, &protocol) || protocol.n == 0)
                        return tls_malformed(facts, PROBE_REASON_TLS_DECODE);

        return PROBE_MATCH;
}

/* Parses supported_versions, which replace the version in the hello (RFC 8446 4.2.1). */
static ProbeVerdict tls_parse_supported_versions(TlsReader r, TlsFacts *facts) {
        TlsReader list;
        uint16_t v;

        if (!tls_vector8(&r, &list) || r.n > 0 || list.n == 0)
                return tls_malformed(facts, PROBE_REASON_TLS_DECODE);

        facts->version = 0;
        while (list.n > 0) {
                if (!tls_u16(&list, &v))
                        return tls_malformed(facts, PROBE_REASON_TLS_DECODE);
                if (!tls_is_grease(v) && v > facts->version)
                        facts->version = v;
        }

        return PROBE_MATCH;
}

static ProbeVerdict tls_parse_extension(uint16_t type, TlsReader r, TlsFacts *facts) {
        switch (type) {

        case EXTENSION_SERVER_NAME:
                return tls_parse_server_name(r, facts);

        case EXTENSION_ALPN:
                return tls_parse_alpn(r, facts);

        case EXTENSION_SUPPORTED_VERSIONS:
                return tls_parse_supported_versions(r, facts);

        case EXTENSION_ECH:
                facts->has_ech = true;
                return PROBE_MATCH;

        default:
                return PROBE_MATCH;
        }
}

static ProbeVerdict tls_parse_extensions(TlsReader r, TlsFacts *facts) {
        TlsTypeSet seen = {};
        TlsReader extension;
        ProbeVerdict v;
        uint16_t type;

        while (r.n > 0) {
                uint64_t bit;

                if (!tls_u16(&r, &type) || !tls_vector16(&r, &extension))
                        return tls_malformed(facts, PROBE_REASON_TLS_DECODE);

                /* RFC 8446 4.2 forbids two extensions of one type. */
                bit = UINT64_C(1) << type % 64;
                if (seen.bits[type / 64] & bit)
                        return tls_malformed(facts, PROBE_REASON_TLS_DUPLICATE);
                seen.bits[type / 64] |= bit;

                v = tls_parse_extension(type, extension, facts);
                if (v != PROBE_MATCH)
                        return v;
        }

        return PROBE_MATCH;
}

static ProbeVerdict tls_parse_hello(TlsReader r, TlsFacts *facts) {
        TlsReader session, ciphers, compression, extensions;

        if (!tls_read(&r, MESSAGE_HEADER_SIZE, NULL) || !tls_u16(&r, &facts->version))
                return tls_malformed(facts, PROBE_REASON_TLS_DECODE);
        if (facts->version >> 8 != 3)
                return tls_malformed(facts, PROBE_REASON_TLS_VERSION);

        if (!tls_read(&r, 32, NULL) || /* random */
            !tls_vector8(&r, &session) || session.n > SESSION_ID_MAX ||
            !tls_vector16(&r, &ciphers) || ciphers.n == 0 || ciphers.n % 2 != 0 ||
            !tls_vector8(&r, &compression) || compression.n == 0)
                return tls_malformed(facts, PROBE_REASON_TLS_DECODE);

        /* Extensions are optional before TLS 1.3 (RFC 5246 7.4.1.2). */
        if (r.n == 0)
                return PROBE_MATCH;
        if (!tls_vector16(&r, &extensions) || r.n > 0)
                return tls_malformed(facts, PROBE_REASON_TLS_DECODE);

        return tls_parse_extensions(extensions, facts);
}

static ProbeVerdict tls_parse(Slice s, size_t max, TlsFacts *facts) {
        TlsReader hello;
        ProbeVerdict v;

        if (s.n == 0)
                return PROBE_NEED_MORE;

        v = tls_match_sslv2(s);
        if (v == PROBE_MATCH)
                return tls_malformed(facts, PROBE_REASON_TLS_SSLV2);
        if (v == PROBE_NEED_MORE)
                return v;

        v = tls_find_hello(s, max, facts, &hello);
        return v == PROBE_MATCH ? tls_parse_hello(hello, facts) : v;
}

ProbeVerdict probe_tls(const uint8_t *p, size_t n, size_t max, TlsFacts *ret) {
        ProbeVerdict v;

        *ret = (TlsFacts){};

        v = tls_parse((Slice){ p, MIN(n, max) }, max, ret);
        if (v == PROBE_NEED_MORE && n >= max)
                return tls_malformed(ret, PROBE_REASON_TOO_LARGE);

        return v;
}

bool tls_next_alpn(TlsReader *alpn, TlsProtocol *ret) {
        TlsReader protocol;

        while (tls_vector8(alpn, &protocol)) {
                ret->n = (uint8_t) protocol.n;
                if (!tls_read(&protocol, protocol.n, ret->bytes))
                        return false;

                /* Skip GREASE names: two equal bytes of the pattern (RFC 8701 2). */
                if (ret->n != 2 || !tls_is_grease((uint16_t) (ret->bytes[0] << 8 | ret->bytes[1])))
                        return true;
        }

        return false;
}
