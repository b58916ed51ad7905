/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "handoff/message-internal.h"

/* The bit field and the result of the verification (PROXY protocol 2.2.6), before the TLVs inside. */
#define MESSAGE_SSL_SIZE_MIN 5

const MessageFact message_facts[MESSAGE_N_FACTS] = {
        { FDPASS_TLV_ALPN,      MESSAGE_FACT_OPAQUE, FDPASS_TEXT_MAX,      offsetof(Message, alpn)      },
        { FDPASS_TLV_AUTHORITY, MESSAGE_FACT_TEXT,   FDPASS_TEXT_MAX,      offsetof(Message, authority) },
        { FDPASS_TLV_UNIQUE_ID, MESSAGE_FACT_OPAQUE, FDPASS_UNIQUE_ID_MAX, offsetof(Message, unique_id) },
        { FDPASS_TLV_SSL,       MESSAGE_FACT_SSL,    FDPASS_SSL_MAX,       offsetof(Message, ssl)       },
        { FDPASS_TLV_ROUTE,     MESSAGE_FACT_TEXT,   FDPASS_TEXT_MAX,      offsetof(Message, route)     },
        { FDPASS_TLV_LISTENER,  MESSAGE_FACT_TEXT,   FDPASS_TEXT_MAX,      offsetof(Message, listener)  },
        { FDPASS_TLV_PROTOCOL,  MESSAGE_FACT_TEXT,   FDPASS_TEXT_MAX,      offsetof(Message, protocol)  },
        { FDPASS_TLV_NAME,      MESSAGE_FACT_TEXT,   FDPASS_TEXT_MAX,      offsetof(Message, name)      },
        { FDPASS_TLV_DATA,      MESSAGE_FACT_OPAQUE, FDPASS_DATA_MAX,      offsetof(Message, data)      },
};

bool message_next_tlv(Slice *tlvs, uint8_t *ret_type, Slice *ret_value) {
        Reader r = *tlvs;
        uint16_t length;

        if (!reader_u8(&r, ret_type) || !reader_u16(&r, &length) || !reader_take(&r, length, ret_value))
                return false;

        *tlvs = r;
        return true;
}

/* Control characters are refused, because texts end up in logs and in C strings. */
static bool message_is_text(Slice s) {
        return slice_span_text(s) == s.n;
}

static bool message_is_ssl(Slice s) {
        Slice inner, value;
        uint8_t type;

        if (s.n < MESSAGE_SSL_SIZE_MIN)
                return false;

        inner = slice_skip(s, MESSAGE_SSL_SIZE_MIN);
        while (message_next_tlv(&inner, &type, &value))
                ;
        return inner.n == 0;
}

bool message_fact_is_valid(const MessageFact *fact, Slice value) {
        switch (fact->kind) {

        case MESSAGE_FACT_OPAQUE:
                return true;

        case MESSAGE_FACT_TEXT:
                return message_is_text(value);

        case MESSAGE_FACT_SSL:
                return message_is_ssl(value);
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

size_t message_header_length(const uint8_t *p, size_t n) {
        Reader r = { p, n };
        Slice prefix, block;
        uint16_t length;

        if (!reader_take(&r, MESSAGE_PREFIX_SIZE - 2, &prefix) || 
            !slice_equal(slice_head(prefix, MESSAGE_SIGNATURE.n), MESSAGE_SIGNATURE) || !reader_u16(&r, &length) ||
            !reader_take(&r, length, &block))
                return 0;

        return MESSAGE_PREFIX_SIZE + (size_t) length;
}
