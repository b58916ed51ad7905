/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "handoff/message.h"

socklen_t message_address_length(const MessageAddress *a) {
        return a->sa.sa_family == AF_INET ? sizeof(a->in) : a->sa.sa_family == AF_INET6 ? sizeof(a->in6) : 0;
}

void message_address_set(MessageAddress *ret, const struct sockaddr *sa, socklen_t length) {
        *ret = (MessageAddress){};

        if (sa->sa_family == AF_INET && length >= sizeof(ret->in))
                memcpy(&ret->in, sa, sizeof(ret->in));
        else if (sa->sa_family == AF_INET6 && length >= sizeof(ret->in6))
                memcpy(&ret->in6, sa, sizeof(ret->in6));
}
