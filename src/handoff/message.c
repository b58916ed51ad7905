/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "handoff/message.h"

bool message_next_tlv(Slice *tlvs, uint8_t *ret_type, Slice *ret_value) {
        Reader r = *tlvs;
        uint16_t length;

        if (!reader_u8(&r, ret_type) || !reader_u16(&r, &length) || !reader_take(&r, length, ret_value))
                return false;

        *tlvs = r;
        return true;
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
