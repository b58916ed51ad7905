/* SPDX-License-Identifier: MIT-0 */

/* Addresses, in the form of the socket that the program thinks it has. */

#include "workers/preload/preload.h"

socklen_t address_length(const IpAddress *a) {
        switch (a->sa.sa_family) {

        case AF_INET:
                return sizeof(a->in);

        case AF_INET6:
                return sizeof(a->in6);

        default:
                return 0;
        }
}

void address_set_port(IpAddress *a, in_port_t port) {
        if (a->sa.sa_family == AF_INET6)
                a->in6.sin6_port = port;
        else
                a->in.sin_port = port;
}

static void address_unmap(IpAddress *a) {
        struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = a->in6.sin6_port };

        memcpy(&in.sin_addr, &a->in6.sin6_addr.s6_addr[12], sizeof(in.sin_addr));
        a->in = in;
}

static void address_map(IpAddress *a) {
        struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = a->in.sin_port };

        in6.sin6_addr.s6_addr[10] = in6.sin6_addr.s6_addr[11] = 0xff;
        memcpy(&in6.sin6_addr.s6_addr[12], &a->in.sin_addr, sizeof(a->in.sin_addr));
        a->in6 = in6;
}

void address_present(IpAddress *a, bool mapped) {
        if (mapped && a->sa.sa_family == AF_INET)
                address_map(a);
        else if (!mapped && a->sa.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr))
                address_unmap(a);
}

bool address_hide(IpAddress *a) {
        struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = a->in6.sin6_port };

        if (a->sa.sa_family != AF_INET6)
                return false;

        a->in = in;
        return true;
}

void address_give(const IpAddress *a, struct sockaddr *to, socklen_t *to_len) {
        IpAddress unknown = { .in = { .sin_family = AF_INET } };
        socklen_t n;

        if (!to || !to_len)
                return;

        if (a->sa.sa_family == AF_INET6 && *to_len == sizeof(unknown.in)) {
                unknown.in.sin_port = a->in6.sin6_port;
                a = &unknown;
        }

        n = address_length(a);
        memcpy(to, a, n < *to_len ? n : *to_len);
        *to_len = n;
}
