/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "handoff/message-fact.h"

#include "probe/crc32c.h"

static bool message_type_is_own(uint8_t type) {
        return type >= 0xE0 && type <= 0xEF;
}

/* Both addresses, and then both ports (PROXY protocol 2.2). */
static bool message_take_addresses(Reader *r, sa_family_t family, MessageAddress *a, MessageAddress *b) {
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

static void message_set_fact(const MessageFact *fact, Message *m, Slice value) {
        *(Slice *) (void *) ((char *) m + fact->offset) = value;
}

static int message_decode_fact(uint8_t type, Slice value, Message *m) {
        for (size_t i = 0; i < MESSAGE_N_FACTS; i++) {
                const MessageFact *fact = &message_facts[i];

                if (fact->type != type)
                        continue;

                if (value.n == 0 || value.n > fact->max || !message_fact_is_valid(fact, value) ||
                    message_fact_value(fact, m)->n > 0)
                        return MESSAGE_INVALID;

                message_set_fact(fact, m, value);
                return 0;
        }

        return 0;
}

static int message_decode_version(Slice value) {
        if (value.n == 0)
                return MESSAGE_INVALID;
        if (value.p[0] != FDPASS_PROTOCOL_VERSION)
                return MESSAGE_VERSION;

        return value.n == 1 ? 0 : MESSAGE_INVALID;
}

static int message_decode_deadline(Slice value, Message *m) {
        uint32_t high, low;
        Reader r = value;

        if (!reader_u32(&r, &high) || !reader_u32(&r, &low) || r.n > 0 || m->deadline != MESSAGE_NO_DEADLINE)
                return MESSAGE_INVALID;

        m->deadline = (uint64_t) high << 32 | low;
        return m->deadline != MESSAGE_NO_DEADLINE ? 0 : MESSAGE_INVALID;
}

/* A number of one byte. Zero is invalid, because it would say the same as no TLV. */
static int message_decode_number(Slice value, uint8_t *number) {
        if (value.n != 1 || value.p[0] == 0 || *number > 0)
                return MESSAGE_INVALID;

        *number = value.p[0];
        return 0;
}

static int message_decode_response(Slice value, Message *m) {
        uint32_t length;
        uint16_t status;
        Reader r = value;

        if (!reader_u16(&r, &status) || !reader_u32(&r, &length) || r.n > 0 || m->status != 0)
                return MESSAGE_INVALID;

        m->status = status;
        m->head_length = length;
        return status >= 200 && status <= 599 && length <= m->consumed.n ? 0 : MESSAGE_INVALID;
}

static int message_decode_tlvs(Slice header, Message *m) {
        bool has_version = false, has_checksum = false;
        Slice rest = m->tlvs, value;
        uint8_t type;
        int r;

        while (reader_tlv(&rest, &type, &value)) {
                if (message_type_is_own(type) && (type == FDPASS_TLV_VERSION) == has_version)
                        return MESSAGE_INVALID; /* the version is not first, or there twice */

                switch (type) {

                case FDPASS_TLV_VERSION:
                        has_version = true;
                        r = message_decode_version(value);
                        break;

                case FDPASS_TLV_CRC32C:
                        r = has_checksum || !crc32c_is_right(header, value) ? MESSAGE_INVALID : 0;
                        has_checksum = true;
                        break;

                case FDPASS_TLV_DEADLINE:
                        r = message_decode_deadline(value, m);
                        break;

                case FDPASS_TLV_PERSISTENT:
                        r = message_decode_number(value, &m->persistent_max);
                        break;

                case FDPASS_TLV_HOPS:
                        r = message_decode_number(value, &m->hops);
                        break;

                case FDPASS_TLV_RESPONSE:
                        r = message_decode_response(value, m);
                        break;

                default:
                        r = message_decode_fact(type, value, m);
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

        if (!reader_take(&r, PROXY_V2_HEADER_SIZE - 2, &prefix) || 
            !slice_equal(slice_head(prefix, PROXY_V2_SIGNATURE.n), PROXY_V2_SIGNATURE) || !reader_u16(&r, &length) ||
            !reader_take(&r, length, &block))
                return 0;

        return PROXY_V2_HEADER_SIZE + (size_t) length;
}

int message_decode(const uint8_t *p, size_t n, Message *ret) {
        Reader r = { p, n }, block;
        uint8_t version, family;
        Slice signature;
        uint16_t length;

        *ret = MESSAGE_NULL;

        if (!reader_take(&r, PROXY_V2_SIGNATURE.n, &signature) || !slice_equal(signature, PROXY_V2_SIGNATURE) ||
            !reader_u8(&r, &version) || !reader_u8(&r, &family) || !reader_u16(&r, &length) ||
            !reader_take(&r, length, &block))
                return MESSAGE_INVALID;

        if (version != MESSAGE_VERSION_COMMAND || PROXY_V2_HEADER_SIZE + (size_t) length > FDPASS_HEADER_MAX ||
            r.n > FDPASS_CONSUMED_MAX)
                return MESSAGE_INVALID;

        if (family == MESSAGE_FAMILY_TCP4 || family == MESSAGE_FAMILY_TCP6) {
                if (!message_take_addresses(&block, family == MESSAGE_FAMILY_TCP4 ? AF_INET : AF_INET6, &ret->source,
                                    &ret->destination))
                        return MESSAGE_INVALID;
        } else if (family != MESSAGE_FAMILY_UNSPEC)
                return MESSAGE_INVALID;

        ret->consumed = r;
        ret->tlvs = block;
        return message_decode_tlvs((Slice){ p, PROXY_V2_HEADER_SIZE + (size_t) length }, ret);
}
