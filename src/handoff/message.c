/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "handoff/message.h"

#include "probe/crc32c.h"

#define SIGNATURE SLICE_LITERAL("\r\n\r\n\0\r\nQUIT\n")
#define PREFIX_SIZE 16 /* signature, version and command, family and transport, length */
#define SSL_SIZE_MIN 5 /* bit field and result of verification, before the TLVs inside */

#define RESPONSE_SIZE 6

#define VERSION_2_PROXY 0x21

enum {
        FAMILY_UNSPEC = 0x00,
        FAMILY_TCP4 = 0x11,
        FAMILY_TCP6 = 0x21,
};

typedef enum FactKind {
        FACT_OPAQUE,
        FACT_TEXT,
        FACT_SSL,
} FactKind;

/* One line a fact that is a run of bytes, in the order in which they are sent. */
static const struct Fact {
        uint8_t type;
        FactKind kind;
        size_t max;
        size_t offset; /* of the Slice in Message */
} facts[] = {
        { FDPASS_TLV_ALPN,      FACT_OPAQUE, FDPASS_TEXT_MAX,      offsetof(Message, alpn)      },
        { FDPASS_TLV_AUTHORITY, FACT_TEXT,   FDPASS_TEXT_MAX,      offsetof(Message, authority) },
        { FDPASS_TLV_UNIQUE_ID, FACT_OPAQUE, FDPASS_UNIQUE_ID_MAX, offsetof(Message, unique_id) },
        { FDPASS_TLV_SSL,       FACT_SSL,    FDPASS_SSL_MAX,       offsetof(Message, ssl)       },
        { FDPASS_TLV_ROUTE,     FACT_TEXT,   FDPASS_TEXT_MAX,      offsetof(Message, route)     },
        { FDPASS_TLV_LISTENER,  FACT_TEXT,   FDPASS_TEXT_MAX,      offsetof(Message, listener)  },
        { FDPASS_TLV_PROTOCOL,  FACT_TEXT,   FDPASS_TEXT_MAX,      offsetof(Message, protocol)  },
        { FDPASS_TLV_NAME,      FACT_TEXT,   FDPASS_TEXT_MAX,      offsetof(Message, name)      },
        { FDPASS_TLV_DATA,      FACT_OPAQUE, FDPASS_DATA_MAX,      offsetof(Message, data)      },
};

static const Slice *fact_value(const struct Fact *fact, const Message *m) {
        return (const Slice *) (const void *) ((const char *) m + fact->offset);
}

static void fact_set(const struct Fact *fact, Message *m, Slice value) {
        *(Slice *) (void *) ((char *) m + fact->offset) = value;
}

static bool type_is_own(uint8_t type) {
        return type >= 0xE0 && type <= 0xEF;
}

bool message_next_tlv(Slice *tlvs, uint8_t *ret_type, Slice *ret_value) {
        Reader r = *tlvs;
        uint16_t length;

        if (!reader_u8(&r, ret_type) || !reader_u16(&r, &length) || !reader_take(&r, length, ret_value))
                return false;

        *tlvs = r;
        return true;
}

/* No control characters: texts end up in logs, and in C strings. */
static bool is_text(Slice s) {
        return slice_span_text(s) == s.n;
}

static bool is_ssl(Slice s) {
        Slice inner, value;
        uint8_t type;

        if (s.n < SSL_SIZE_MIN)
                return false;

        inner = slice_skip(s, SSL_SIZE_MIN);
        while (message_next_tlv(&inner, &type, &value))
                ;
        return inner.n == 0;
}

static bool fact_is_valid(const struct Fact *fact, Slice value) {
        switch (fact->kind) {

        case FACT_OPAQUE:
                return true;

        case FACT_TEXT:
                return is_text(value);

        case FACT_SSL:
                return is_ssl(value);
        }

        return false;
}

socklen_t message_address_length(const MessageAddress *a) {
        switch (a->sa.sa_family) {

        case AF_INET:
                return sizeof(a->in);

        case AF_INET6:
                return sizeof(a->in6);

        default:
                return 0;
        }
}

void message_address_set(MessageAddress *ret, const struct sockaddr *sa, socklen_t length) {
        *ret = (MessageAddress){};

        if (sa->sa_family == AF_INET && length >= sizeof(ret->in))
                memcpy(&ret->in, sa, sizeof(ret->in));
        else if (sa->sa_family == AF_INET6 && length >= sizeof(ret->in6))
                memcpy(&ret->in6, sa, sizeof(ret->in6));
}

/* Where the next bytes go. One that is full stays so, and says so at the end. */
typedef struct Writer {
        uint8_t *p;
        size_t n;
        size_t size;
        bool is_full;
} Writer;

static void write_bytes(Writer *w, const void *p, size_t n) {
        if (n > w->size - w->n) {
                w->is_full = true;
                w->size = w->n;
                return;
        }

        if (n > 0)
                memcpy(w->p + w->n, p, n);
        w->n += n;
}

static void write_u8(Writer *w, uint8_t value) {
        write_bytes(w, &value, sizeof(value));
}

static void write_u16(Writer *w, size_t value) {
        write_u8(w, (uint8_t) (value >> 8));
        write_u8(w, (uint8_t) value);
}

static void write_tlv(Writer *w, uint8_t type, Slice value) {
        write_u8(w, type);
        write_u16(w, value.n);
        write_bytes(w, value.p, value.n);
}

static uint8_t write_addresses(Writer *w, const MessageAddress *a, const MessageAddress *b) {
        if (a->sa.sa_family != b->sa.sa_family)
                return FAMILY_UNSPEC;

        switch (a->sa.sa_family) {

        case AF_INET:
                write_bytes(w, &a->in.sin_addr, sizeof(a->in.sin_addr));
                write_bytes(w, &b->in.sin_addr, sizeof(b->in.sin_addr));
                write_bytes(w, &a->in.sin_port, sizeof(a->in.sin_port));
                write_bytes(w, &b->in.sin_port, sizeof(b->in.sin_port));
                return FAMILY_TCP4;

        case AF_INET6:
                write_bytes(w, &a->in6.sin6_addr, sizeof(a->in6.sin6_addr));
                write_bytes(w, &b->in6.sin6_addr, sizeof(b->in6.sin6_addr));
                write_bytes(w, &a->in6.sin6_port, sizeof(a->in6.sin6_port));
                write_bytes(w, &b->in6.sin6_port, sizeof(b->in6.sin6_port));
                return FAMILY_TCP6;

        default:
                return FAMILY_UNSPEC;
        }
}

static void write_deadline(Writer *w, uint64_t deadline) {
        uint8_t bytes[8];

        for (size_t i = 0; i < sizeof(bytes); i++)
                bytes[i] = (uint8_t) (deadline >> (56 - 8 * i));

        write_tlv(w, FDPASS_TLV_DEADLINE, (Slice){ bytes, sizeof(bytes) });
}

static void write_response(Writer *w, const Message *m) {
        const uint8_t bytes[RESPONSE_SIZE] = {
                (uint8_t) (m->status >> 8), (uint8_t) m->status,
                (uint8_t) (m->head_length >> 24), (uint8_t) (m->head_length >> 16),
                (uint8_t) (m->head_length >> 8), (uint8_t) m->head_length,
        };

        write_tlv(w, FDPASS_TLV_RESPONSE, (Slice){ bytes, sizeof(bytes) });
}

static int write_tlvs(Writer *w, const Message *m) {
        static const uint8_t version = FDPASS_PROTOCOL_VERSION;

        write_tlv(w, FDPASS_TLV_VERSION, (Slice){ &version, 1 });

        for (size_t i = 0; i < ELEMENTSOF(facts); i++) {
                Slice value = *fact_value(&facts[i], m);

                if (value.n == 0)
                        continue;
                if (value.n > facts[i].max)
                        return -EMSGSIZE;
                if (!fact_is_valid(&facts[i], value))
                        return -EINVAL;

                write_tlv(w, facts[i].type, value);
        }

        if (m->deadline != MESSAGE_NO_DEADLINE)
                write_deadline(w, m->deadline);
        if (m->persistent_max > 0)
                write_tlv(w, FDPASS_TLV_PERSISTENT, (Slice){ &m->persistent_max, 1 });
        if (m->hops > 0)
                write_tlv(w, FDPASS_TLV_HOPS, (Slice){ &m->hops, 1 });

        if (m->status != 0)
                write_response(w, m);

        return 0;
}

int message_encode(const Message *m, uint8_t *ret, size_t size, size_t *ret_n) {
        Writer w = { .p = ret, .size = MIN(size, (size_t) FDPASS_HEADER_MAX) };
        uint8_t family;
        int r;

        if (m->consumed.n > FDPASS_CONSUMED_MAX || (m->status != 0 && m->head_length > m->consumed.n))
                return -EMSGSIZE;

        write_bytes(&w, SIGNATURE.p, SIGNATURE.n);
        write_u8(&w, VERSION_2_PROXY);
        write_u8(&w, FAMILY_UNSPEC);
        write_u16(&w, 0);
        family = write_addresses(&w, &m->source, &m->destination);
        r = write_tlvs(&w, m);
        if (r < 0)
                return r;
        if (w.is_full)
                return -EMSGSIZE;

        /* These are known only now. */
        ret[13] = family;
        ret[14] = (uint8_t) ((w.n - PREFIX_SIZE) >> 8);
        ret[15] = (uint8_t) (w.n - PREFIX_SIZE);
        *ret_n = w.n;
        return 0;
}

/* Both of one size, then both ports. */
static bool take_addresses(Reader *r, sa_family_t family, MessageAddress *a, MessageAddress *b) {
        size_t size = family == AF_INET ? sizeof(struct in_addr) : sizeof(struct in6_addr);
        Slice source, destination, ports;

        if (!reader_take(r, size, &source) || !reader_take(r, size, &destination) || !reader_take(r, 4, &ports))
                return false;

        a->sa.sa_family = b->sa.sa_family = family;
        if (family == AF_INET) {
                memcpy(&a->in.sin_addr, source.p, size);
                memcpy(&b->in.sin_addr, destination.p, size);
                memcpy(&a->in.sin_port, ports.p, 2);
                memcpy(&b->in.sin_port, ports.p + 2, 2);
        } else {
                memcpy(&a->in6.sin6_addr, source.p, size);
                memcpy(&b->in6.sin6_addr, destination.p, size);
                memcpy(&a->in6.sin6_port, ports.p, 2);
                memcpy(&b->in6.sin6_port, ports.p + 2, 2);
        }

        return true;
}

/* PROXY protocol 2.2.3: over the whole header, the checksum itself taken as zero. */
static bool checksum_is_right(Slice header, Slice checksum) {
        size_t before = (size_t) (checksum.p - header.p);
        uint32_t crc = CRC32C_INIT, wanted;
        Reader r = checksum;

        crc = crc32c_add(crc, slice_head(header, before));
        crc = crc32c_add(crc, SLICE_LITERAL("\0\0\0\0"));
        crc = crc32c_add(crc, slice_skip(header, before + checksum.n));

        return reader_u32(&r, &wanted) && r.n == 0 && wanted == ~crc;
}

static int decode_fact(uint8_t type, Slice value, Message *m) {
        for (size_t i = 0; i < ELEMENTSOF(facts); i++) {
                if (facts[i].type != type)
                        continue;

                if (value.n == 0 || value.n > facts[i].max || !fact_is_valid(&facts[i], value) ||
                    fact_value(&facts[i], m)->n > 0)
                        return MESSAGE_INVALID;

                fact_set(&facts[i], m, value);
                return 0;
        }

        return 0;
}

static int decode_version(Slice value) {
        if (value.n == 0)
                return MESSAGE_INVALID;
        if (value.p[0] != FDPASS_PROTOCOL_VERSION)
                return MESSAGE_VERSION;

        return value.n == 1 ? 0 : MESSAGE_INVALID;
}

static int decode_deadline(Slice value, Message *m) {
        uint32_t high, low;
        Reader r = value;

        if (!reader_u32(&r, &high) || !reader_u32(&r, &low) || r.n > 0 || m->deadline != MESSAGE_NO_DEADLINE)
                return MESSAGE_INVALID;

        m->deadline = (uint64_t) high << 32 | low;
        return m->deadline != MESSAGE_NO_DEADLINE ? 0 : MESSAGE_INVALID;
}

/* Of one byte, and never zero: that would say the same as none. */
static int decode_number(Slice value, uint8_t *number) {
        if (value.n != 1 || value.p[0] == 0 || *number > 0)
                return MESSAGE_INVALID;

        *number = value.p[0];
        return 0;
}

static int decode_response(Slice value, Message *m) {
        uint32_t length;
        uint16_t status;
        Reader r = value;

        if (!reader_u16(&r, &status) || !reader_u32(&r, &length) || r.n > 0 || m->status != 0)
                return MESSAGE_INVALID;

        m->status = status;
        m->head_length = length;
        return status >= 200 && status <= 599 && length <= m->consumed.n ? 0 : MESSAGE_INVALID;
}

static int decode_tlvs(Slice header, Message *m) {
        bool has_version = false, has_checksum = false;
        Slice rest = m->tlvs, value;
        uint8_t type;
        int r;

        while (message_next_tlv(&rest, &type, &value)) {
                if (type_is_own(type) && (type == FDPASS_TLV_VERSION) == has_version)
                        return MESSAGE_INVALID; /* not first, or twice */

                switch (type) {

                case FDPASS_TLV_VERSION:
                        has_version = true;
                        r = decode_version(value);
                        break;

                case FDPASS_TLV_CRC32C:
                        r = has_checksum || !checksum_is_right(header, value) ? MESSAGE_INVALID : 0;
                        has_checksum = true;
                        break;

                case FDPASS_TLV_DEADLINE:
                        r = decode_deadline(value, m);
                        break;

                case FDPASS_TLV_PERSISTENT:
                        r = decode_number(value, &m->persistent_max);
                        break;

                case FDPASS_TLV_HOPS:
                        r = decode_number(value, &m->hops);
                        break;

                case FDPASS_TLV_RESPONSE:
                        r = decode_response(value, m);
                        break;

                default:
                        r = decode_fact(type, value, m);
                }
                if (r != 0)
                        return r;
        }

        return rest.n == 0 && has_version ? 0 : MESSAGE_INVALID;
}

size_t message_header_length(const uint8_t *p, size_t n) {
        Reader r = { p, n };
        Slice prefix, block;
        uint16_t length;

        if (!reader_take(&r, PREFIX_SIZE - 2, &prefix) || !slice_equal(slice_head(prefix, SIGNATURE.n), SIGNATURE) ||
            !reader_u16(&r, &length) || !reader_take(&r, length, &block))
                return 0;

        return PREFIX_SIZE + (size_t) length;
}

int message_decode(const uint8_t *p, size_t n, Message *ret) {
        Reader r = { p, n }, block;
        uint8_t version, family;
        Slice signature;
        uint16_t length;

        *ret = MESSAGE_NULL;

        if (!reader_take(&r, SIGNATURE.n, &signature) || !slice_equal(signature, SIGNATURE) ||
            !reader_u8(&r, &version) || !reader_u8(&r, &family) || !reader_u16(&r, &length) ||
            !reader_take(&r, length, &block))
                return MESSAGE_INVALID;

        if (version != VERSION_2_PROXY || PREFIX_SIZE + (size_t) length > FDPASS_HEADER_MAX ||
            r.n > FDPASS_CONSUMED_MAX)
                return MESSAGE_INVALID;

        if (family == FAMILY_TCP4 || family == FAMILY_TCP6) {
                if (!take_addresses(&block, family == FAMILY_TCP4 ? AF_INET : AF_INET6, &ret->source,
                                    &ret->destination))
                        return MESSAGE_INVALID;
        } else if (family != FAMILY_UNSPEC)
                return MESSAGE_INVALID;

        ret->consumed = r;
        ret->tlvs = block;
        return decode_tlvs((Slice){ p, PREFIX_SIZE + (size_t) length }, ret);
}
