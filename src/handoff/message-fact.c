/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "handoff/message-fact.h"

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
        { FDPASS_TLV_SCOPE,     MESSAGE_FACT_OPAQUE, FDPASS_SCOPE_MAX,     offsetof(Message, scope)     },
        { FDPASS_TLV_SEAL,      MESSAGE_FACT_OPAQUE, FDPASS_SEAL_SIZE,     offsetof(Message, seal)      },
        { FDPASS_TLV_NEXT,      MESSAGE_FACT_OPAQUE, FDPASS_NEXT_MAX,      offsetof(Message, next)      },
        { FDPASS_TLV_PROXY,     MESSAGE_FACT_TLVS,   FDPASS_PROXY_MAX,     offsetof(Message, proxy)     },
};

static bool message_fact_is_tlvs(Slice s) {
        Slice value;
        uint8_t type;

        while (reader_tlv(&s, &type, &value))
                ;
        return s.n == 0;
}

static bool message_fact_is_ssl(Slice s) {
        return s.n >= MESSAGE_SSL_SIZE_MIN && message_fact_is_tlvs(slice_skip(s, MESSAGE_SSL_SIZE_MIN));
}

bool message_ssl_is_valid(Slice value) {
        return value.n <= FDPASS_SSL_MAX && message_fact_is_ssl(value);
}

bool message_fact_is_valid(const MessageFact *fact, Slice value) {
        switch (fact->kind) {

        case MESSAGE_FACT_OPAQUE:
                return true;

        case MESSAGE_FACT_TEXT:
                return slice_span_text(value) == value.n; /* control characters would end up in logs */

        case MESSAGE_FACT_SSL:
                return message_fact_is_ssl(value);

        case MESSAGE_FACT_TLVS:
                return message_fact_is_tlvs(value);
        }

        return false;
}
