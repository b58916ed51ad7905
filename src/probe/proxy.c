/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "probe/proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "probe/crc32c.h"
#include "probe/preface.h"

#define V1_SIGNATURE SLICE_LITERAL("PROXY ")

/* Command: the low four bits of byte 13 (section 2.2). */
enum {
        COMMAND_LOCAL = 0,
        COMMAND_PROXY = 1,
};

/* Address family and transport: byte 14 (section 2.2). */
enum {
        FAMILY_UNSPEC = 0x00,
        FAMILY_TCP4 = 0x11,
        FAMILY_UDP4 = 0x12,
        FAMILY_TCP6 = 0x21,
        FAMILY_UDP6 = 0x22,
        FAMILY_UNIX_STREAM = 0x31,
        FAMILY_UNIX_DGRAM = 0x32,
};

/* Size of an AF_UNIX address in a header, in bytes (section 2.2). */
#define UNIX_PATH_SIZE 108

static ProbeVerdict proxy_malformed(ProxyFacts *facts, ProbeReason reason) {
        facts->reason = reason;
        return PROBE_MALFORMED;
}

/* Writes an address of @family with its port, from @address in network byte order. Returns its length. */
static socklen_t proxy_set_ip(struct sockaddr_storage *ret, int family, const void *address, uint16_t port) {
        struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };
        struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };

        if (family == AF_INET) {
                memcpy(&in.sin_addr, address, sizeof(in.sin_addr));
                memcpy(ret, &in, sizeof(in));
                return sizeof(in);
        }

        memcpy(&in6.sin6_addr, address, sizeof(in6.sin6_addr));
        memcpy(ret, &in6, sizeof(in6));
        return sizeof(in6);
}

/* NULs fill the rest of the path. A path that begins with NUL is taken as none, because it looks the same. */
static socklen_t proxy_set_unix(struct sockaddr_storage *ret, Slice path) {
        struct sockaddr_un un = { .sun_family = AF_UNIX };
        size_t n = strnlen((const char *) path.p, path.n);

        memcpy(un.sun_path, path.p, n);
        memcpy(ret, &un, sizeof(un));
        return (socklen_t) (offsetof(struct sockaddr_un, sun_path) + (n > 0 ? MIN(n + 1, path.n) : 0));
}

/* Removes the next word and the space after it from *line. */
static Slice proxy_next_word(Slice *line) {
        const uint8_t *space = line->n > 0 ? memchr(line->p, ' ', line->n) : NULL;
        Slice word = slice_head(*line, space ? (size_t) (space - line->p) : line->n);

        *line = slice_skip(*line, MIN(word.n + 1, line->n));
        return word;
}

/* Section 2.1: a port has no leading zero. */
static bool proxy_parse_port(Slice s, uint16_t *ret) {
        return (s.n <= 1 || s.p[0] != '0') && slice_parse_u16(s, ret);
}

static bool proxy_set_v1_address(int family, Slice address, Slice port, struct sockaddr_storage *ret,
                                 socklen_t *ret_length) {
        char text[INET6_ADDRSTRLEN];
        struct in6_addr bytes; /* the larger of the two families */
        uint16_t number;

        if (address.n >= sizeof(text) || !proxy_parse_port(port, &number))
                return false;

        memcpy(text, address.p, address.n);
        text[address.n] = 0;

        if (inet_pton(family, text, &bytes) != 1)
                return false;

        *ret_length = proxy_set_ip(ret, family, &bytes, number);
        return true;
}

/* "TCP4 source destination source-port destination-port" */
static bool proxy_parse_v1_line(Slice line, ProxyFacts *facts) {
        Slice protocol = proxy_next_word(&line), source, destination, source_port, destination_port;
        int family;

        if (slice_equal(protocol, SLICE_LITERAL("UNKNOWN")))
                return true; /* section 2.1: "the receiver must ignore anything presented before the CRLF" */

        if (slice_equal(protocol, SLICE_LITERAL("TCP4")))
                family = AF_INET;
        else if (slice_equal(protocol, SLICE_LITERAL("TCP6")))
                family = AF_INET6;
        else
                return false;

        source = proxy_next_word(&line);
        destination = proxy_next_word(&line);
        source_port = proxy_next_word(&line);
        destination_port = line;

        facts->type = SOCK_STREAM;
        return proxy_set_v1_address(family, source, source_port, &facts->source, &facts->source_length) &&
               proxy_set_v1_address(family, destination, destination_port, &facts->destination,
                              &facts->destination_length);
}

static ProbeVerdict proxy_probe_v1(Slice s, ProxyFacts *facts) {
        Slice line = slice_head(s, PROXY_V1_MAX);
        size_t n = V1_SIGNATURE.n;

        while (n < line.n && line.p[n] >= ' ' && line.p[n] <= '~')
                n++;

        if (n == line.n || (line.p[n] == '\r' && n + 1 == line.n))
                return line.n < PROXY_V1_MAX ? PROBE_NEED_MORE : proxy_malformed(facts, PROBE_REASON_PROXY_V1);

        if (line.p[n] != '\r' || line.p[n + 1] != '\n' ||
            !proxy_parse_v1_line(slice_skip(slice_head(line, n), V1_SIGNATURE.n), facts))
                return proxy_malformed(facts, PROBE_REASON_PROXY_V1);

        facts->version = 1;
        facts->header_length = n + 2;
        return PROBE_MATCH;
}

static bool proxy_take_ip(Reader *r, int family, ProxyFacts *facts) {
        size_t n = family == AF_INET ? sizeof(struct in_addr) : sizeof(struct in6_addr);
        uint16_t source_port, destination_port;
        Slice source, destination;

        if (!reader_take(r, n, &source) || !reader_take(r, n, &destination) ||
            !reader_u16(r, &source_port) || !reader_u16(r, &destination_port))
                return false;

        facts->source_length = proxy_set_ip(&facts->source, family, source.p, source_port);
        facts->destination_length = proxy_set_ip(&facts->destination, family, destination.p, destination_port);
        return true;
}

static bool proxy_take_unix(Reader *r, ProxyFacts *facts) {
        Slice source, destination;

        if (!reader_take(r, UNIX_PATH_SIZE, &source) || !reader_take(r, UNIX_PATH_SIZE, &destination))
                return false;

        facts->source_length = proxy_set_unix(&facts->source, source);
        facts->destination_length = proxy_set_unix(&facts->destination, destination);
        return true;
}

static ProbeVerdict proxy_take_addresses(uint8_t family, Reader *r, ProxyFacts *facts) {
        bool fits;

        switch (family) {

        case FAMILY_UNSPEC:
                return PROBE_MATCH;

        case FAMILY_TCP4:
        case FAMILY_UDP4:
                fits = proxy_take_ip(r, AF_INET, facts);
                break;

        case FAMILY_TCP6:
        case FAMILY_UDP6:
                fits = proxy_take_ip(r, AF_INET6, facts);
                break;

        case FAMILY_UNIX_STREAM:
        case FAMILY_UNIX_DGRAM:
                fits = proxy_take_unix(r, facts);
                break;

        default:
                return proxy_malformed(facts, PROBE_REASON_PROXY_FAMILY);
        }

        facts->type = (family & 0xf) == 1 ? SOCK_STREAM : SOCK_DGRAM;
        return fits ? PROBE_MATCH : proxy_malformed(facts, PROBE_REASON_PROXY_LENGTH);
}

static ProbeVerdict proxy_check_tlvs(Slice header, ProxyFacts *facts) {
        Slice rest = facts->tlvs, value;
        bool has_checksum = false;
        uint8_t type;

        while (reader_tlv(&rest, &type, &value)) {
                if (type != PROXY_TLV_CRC32C)
                        continue;
                if (value.n != sizeof(uint32_t) || has_checksum)
                        return proxy_malformed(facts, PROBE_REASON_PROXY_TLV);
                if (!crc32c_is_right(header, value))
                        return proxy_malformed(facts, PROBE_REASON_PROXY_CHECKSUM);

                has_checksum = true;
        }

        return rest.n == 0 ? PROBE_MATCH : proxy_malformed(facts, PROBE_REASON_PROXY_TLV);
}

static ProbeVerdict proxy_probe_v2(Slice s, ProxyFacts *facts) {
        Reader r = slice_skip(s, PROXY_V2_SIGNATURE.n), block;
        uint8_t version, family;
        uint16_t length;
        ProbeVerdict v;

        if (!reader_u8(&r, &version) || !reader_u8(&r, &family) || !reader_u16(&r, &length))
                return PROBE_NEED_MORE;

        if (version >> 4 != 2 || (version & 0xf) > COMMAND_PROXY)
                return proxy_malformed(facts, PROBE_REASON_PROXY_VERSION);
        if (length > PROXY_V2_LENGTH_MAX)
                return proxy_malformed(facts, PROBE_REASON_PROXY_LENGTH);
        if (!reader_take(&r, length, &block))
                return PROBE_NEED_MORE;

        facts->version = 2;
        facts->header_length = PROXY_V2_HEADER_SIZE + (size_t) length;

        /* Section 2.2: "The receiver must … discard the protocol block including the family which is ignored." */
        facts->is_local = (version & 0xf) == COMMAND_LOCAL;
        if (facts->is_local)
                return PROBE_MATCH;

        v = proxy_take_addresses(family, &block, facts);
        if (v != PROBE_MATCH)
                return v;

        facts->tlvs = block;
        return proxy_check_tlvs(slice_head(s, facts->header_length), facts);
}

ProbeVerdict probe_proxy(const uint8_t *p, size_t n, ProxyFacts *ret) {
        ProbeVerdict v;

        *ret = (ProxyFacts){};

        v = probe_prefix(p, n, V1_SIGNATURE);
        if (v == PROBE_MATCH)
                return proxy_probe_v1((Slice){ p, n }, ret);
        if (v == PROBE_NEED_MORE)
                return v;

        v = probe_prefix(p, n, PROXY_V2_SIGNATURE);
        return v == PROBE_MATCH ? proxy_probe_v2((Slice){ p, n }, ret) : v;
}

size_t proxy_keep_tlvs(Slice tlvs, uint8_t ret[static PROXY_KEPT_MAX]) {
        const uint8_t *begin = tlvs.p;
        size_t n = 0;
        Slice value;
        uint8_t type;

        for (; reader_tlv(&tlvs, &type, &value); begin = tlvs.p) {
                size_t size = (size_t) (tlvs.p - begin);

                if (type == PROXY_TLV_CRC32C || type == PROXY_TLV_NOOP || size > PROXY_KEPT_MAX - n)
                        continue;

                memcpy(ret + n, begin, size);
                n += size;
        }

        return n;
}

ProbeVerdict probe_proxy_signature(const uint8_t *p, size_t n) {
        static const Slice signatures[] = {
                PROXY_V2_SIGNATURE,
                /* "PROXY " alone could begin an HTTP request with that method. */
                SLICE_LITERAL("PROXY TCP4 "),
                SLICE_LITERAL("PROXY TCP6 "),
                SLICE_LITERAL("PROXY UNKNOWN"),
        };
        ProbeVerdict verdict = PROBE_NO_MATCH;

        for (size_t i = 0; i < ELEMENTSOF(signatures); i++) {
                ProbeVerdict v = probe_prefix(p, n, signatures[i]);

                if (v == PROBE_MATCH)
                        return v;
                if (v == PROBE_NEED_MORE)
                        verdict = v;
        }

        return verdict;
}
