/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "handoff/message-fact.h"

/* The place of the next bytes. A writer that gets full ignores all further bytes. */
typedef struct MessageWriter {
        uint8_t *p;
        size_t n;
        size_t size;
        bool is_full;
} MessageWriter;

static void message_write_bytes(MessageWriter *w, const void *p, size_t n) {
        if (n > w->size - w->n) {
                w->is_full = true;
                w->size = w->n;
                return;
        }

        if (n > 0)
                memcpy(w->p + w->n, p, n);
        w->n += n;
}

static void message_write_u8(MessageWriter *w, uint8_t value) {
        message_write_bytes(w, &value, sizeof(value));
}

static void message_write_u16(MessageWriter *w, size_t value) {
        message_write_u8(w, (uint8_t) (value >> 8));
        message_write_u8(w, (uint8_t) value);
}

static void message_write_tlv(MessageWriter *w, uint8_t type, Slice value) {
        const uint8_t head[] = { type, (uint8_t) (value.n >> 8), (uint8_t) value.n };

        message_write_bytes(w, head, sizeof(head));
        message_write_bytes(w, value.p, value.n);
}

static uint8_t message_write_addresses(MessageWriter *w, const MessageAddress *a, const MessageAddress *b) {
        if (a->sa.sa_family != b->sa.sa_family)
                return MESSAGE_FAMILY_UNSPEC;

        switch (a->sa.sa_family) {

        case AF_INET:
                message_write_bytes(w, &a->in.sin_addr, sizeof(a->in.sin_addr));
                message_write_bytes(w, &b->in.sin_addr, sizeof(b->in.sin_addr));
                message_write_bytes(w, &a->in.sin_port, sizeof(a->in.sin_port));
                message_write_bytes(w, &b->in.sin_port, sizeof(b->in.sin_port));
                return MESSAGE_FAMILY_TCP4;

        case AF_INET6:
                message_write_bytes(w, &a->in6.sin6_addr, sizeof(a->in6.sin6_addr));
                message_write_bytes(w, &b->in6.sin6_addr, sizeof(b->in6.sin6_addr));
                message_write_bytes(w, &a->in6.sin6_port, sizeof(a->in6.sin6_port));
                message_write_bytes(w, &b->in6.sin6_port, sizeof(b->in6.sin6_port));
                return MESSAGE_FAMILY_TCP6;

        default:
                return MESSAGE_FAMILY_UNSPEC;
        }
}

static void message_write_deadline(MessageWriter *w, uint64_t deadline) {
        uint8_t bytes[8];

        for (size_t i = 0; i < sizeof(bytes); i++)
                bytes[i] = (uint8_t) (deadline >> (56 - 8 * i));

        message_write_tlv(w, FDPASS_TLV_DEADLINE, (Slice){ bytes, sizeof(bytes) });
}

static void message_write_response(MessageWriter *w, const Message *m) {
        const uint8_t bytes[MESSAGE_RESPONSE_SIZE] = {
                (uint8_t) (m->status >> 8), (uint8_t) m->status,
                (uint8_t) (m->head_length >> 24), (uint8_t) (m->head_length >> 16),
                (uint8_t) (m->head_length >> 8), (uint8_t) m->head_length,
        };

        message_write_tlv(w, FDPASS_TLV_RESPONSE, (Slice){ bytes, sizeof(bytes) });
}

/* Types among ours that are left to load balancers of clouds (fdpass-protocol(7)). */
enum {
        VENDOR_TLV_AWS = 0xEA,
        VENDOR_TLV_AZURE = 0xEE,
};

/* True if a proxy's TLV of this type is copied into the header. All others have a meaning of ours, or may get one. */
static bool message_type_is_copied(uint8_t type) {
        switch (type) {

        case VENDOR_TLV_AWS:
        case VENDOR_TLV_AZURE:
                return true;

        case FDPASS_TLV_ALPN:
        case FDPASS_TLV_AUTHORITY:
        case FDPASS_TLV_CRC32C:
        case PROXY_TLV_NOOP:
        case FDPASS_TLV_UNIQUE_ID:
        case FDPASS_TLV_SSL:
                return false;

        default:
                return type < 0xE0 || type > 0xEF;
        }
}

/* Writes the first TLV of each copied type, because each type appears once in a message. */
static void message_write_copies(MessageWriter *w, Slice proxy) {
        uint64_t written[(UINT8_MAX + 1) / 64] = {};
        Slice value;
        uint8_t type;

        while (reader_tlv(&proxy, &type, &value)) {
                uint64_t bit = UINT64_C(1) << type % 64;

                if (!message_type_is_copied(type) || written[type / 64] & bit)
                        continue;

                written[type / 64] |= bit;
                message_write_tlv(w, type, value);
        }
}

static int message_write_tlvs(MessageWriter *w, const Message *m) {
        static const uint8_t version = FDPASS_PROTOCOL_VERSION;

        message_write_tlv(w, FDPASS_TLV_VERSION, (Slice){ &version, 1 });

        for (size_t i = 0; i < MESSAGE_N_FACTS; i++) {
                Slice value = *message_fact_value(&message_facts[i], m);

                if (value.n == 0)
                        continue;
                if (value.n > message_facts[i].max)
                        return -EMSGSIZE;
                if (!message_fact_is_valid(&message_facts[i], value))
                        return -EINVAL;

                message_write_tlv(w, message_facts[i].type, value);
        }

        if (m->deadline != MESSAGE_NO_DEADLINE)
                message_write_deadline(w, m->deadline);
        if (m->persistent_max > 0)
                message_write_tlv(w, FDPASS_TLV_PERSISTENT, (Slice){ &m->persistent_max, 1 });
        if (m->hops > 0)
                message_write_tlv(w, FDPASS_TLV_HOPS, (Slice){ &m->hops, 1 });

        if (m->status != 0)
                message_write_response(w, m);
        if (m->proxy.n > 0)
                message_write_copies(w, m->proxy);

        return 0;
}

int message_encode(const Message *m, uint8_t *ret, size_t size, size_t *ret_n) {
        MessageWriter w = { .p = ret, .size = MIN(size, (size_t) FDPASS_HEADER_MAX) };
        uint8_t family;
        int r;

        if (m->consumed.n > FDPASS_CONSUMED_MAX || (m->status != 0 && m->head_length > m->consumed.n))
                return -EMSGSIZE;

        message_write_bytes(&w, PROXY_V2_SIGNATURE.p, PROXY_V2_SIGNATURE.n);
        message_write_u8(&w, MESSAGE_VERSION_COMMAND);
        message_write_u8(&w, MESSAGE_FAMILY_UNSPEC);
        message_write_u16(&w, 0);
        family = message_write_addresses(&w, &m->source, &m->destination);
        r = message_write_tlvs(&w, m);
        if (r < 0)
                return r;
        if (w.is_full)
                return -EMSGSIZE;

        /* Family and length depend on what was written. */
        ret[13] = family;
        ret[14] = (uint8_t) ((w.n - PROXY_V2_HEADER_SIZE) >> 8);
        ret[15] = (uint8_t) (w.n - PROXY_V2_HEADER_SIZE);
        *ret_n = w.n;
        return 0;
}
