/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "workers/proxy-header.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "handoff/message.h"

int proxy_header_from_string(const char *s) {
        static const char *const names[_PROXY_HEADER_MAX] = { "no", "v1", "v2" };

        for (int i = 0; i < _PROXY_HEADER_MAX; i++)
                if (streq(s, names[i]))
                        return i;

        return -EINVAL;
}

/* An IPv4 client of a socket for both families: it is told as what it is (RFC 4291 2.5.5.2). */
static void unmap(MessageAddress *a) {
        struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = a->in6.sin6_port };

        memcpy(&in.sin_addr, a->in6.sin6_addr.s6_addr + 12, sizeof(in.sin_addr));
        *a = (MessageAddress){ .in = in };
}

/* Both, of one family, or none: AF_UNSPEC. */
static void addresses_of(int client_fd, const struct fdpass *told, MessageAddress *source, MessageAddress *destination) {
        struct sockaddr_storage ss = {};
        const struct sockaddr *sa;
        socklen_t n = sizeof(ss);

        *source = *destination = (MessageAddress){};

        if (told) {
                sa = fdpass_peer(told, &n);
                if (sa)
                        message_address_set(source, sa, n);
                sa = fdpass_local(told, &n);
                if (sa)
                        message_address_set(destination, sa, n);
        } else {
                if (getpeername(client_fd, (struct sockaddr *) &ss, &n) >= 0)
                        message_address_set(source, (struct sockaddr *) &ss, n);
                n = sizeof(ss);
                if (getsockname(client_fd, (struct sockaddr *) &ss, &n) >= 0)
                        message_address_set(destination, (struct sockaddr *) &ss, n);
        }

        if (source->sa.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&source->in6.sin6_addr) &&
            destination->sa.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&destination->in6.sin6_addr)) {
                unmap(source);
                unmap(destination);
        }

        if (source->sa.sa_family != destination->sa.sa_family)
                *source = *destination = (MessageAddress){};
}

static unsigned port_of(const MessageAddress *a) {
        return ntohs(a->sa.sa_family == AF_INET6 ? a->in6.sin6_port : a->in.sin_port);
}

unsigned client_port(int client_fd, const struct fdpass *told) {
        MessageAddress source, destination;

        addresses_of(client_fd, told, &source, &destination);
        return port_of(&destination);
}

static const void *binary_address(const MessageAddress *a) {
        return a->sa.sa_family == AF_INET6 ? (const void *) &a->in6.sin6_addr : &a->in.sin_addr;
}

static size_t write_v1(const MessageAddress *source, const MessageAddress *destination, char *ret, size_t size) {
        char from[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN];
        int n;

        if (source->sa.sa_family == AF_UNSPEC)
                n = snprintf(ret, size, "PROXY UNKNOWN\r\n");
        else
                n = snprintf(ret, size, "PROXY TCP%c %s %s %u %u\r\n", source->sa.sa_family == AF_INET6 ? '6' : '4',
                             inet_ntop(source->sa.sa_family, binary_address(source), from, sizeof(from)),
                             inet_ntop(source->sa.sa_family, binary_address(destination), to, sizeof(to)),
                             port_of(source), port_of(destination));

        return (size_t) n;
}

static Slice told_slice(const void *(*get)(const struct fdpass *, size_t *), const struct fdpass *told) {
        size_t n;
        const void *p = get(told, &n);

        return (Slice){ p, n };
}

/* A second handoff's header, in effect: a reader of the PROXY protocol passes over the types that it doesn't know. */
static int write_v2(Message *m, const struct fdpass *told, uint8_t *ret, size_t size, size_t *ret_n) {
        if (told) {
                m->alpn = told_slice(fdpass_alpn, told);
                m->unique_id = told_slice(fdpass_unique_id, told);
                m->ssl.p = fdpass_tlv(told, FDPASS_TLV_SSL, &m->ssl.n);
                m->authority = slice_from_string(fdpass_authority(told) ?: "");
                m->route = slice_from_string(fdpass_route(told) ?: "");
                m->listener = slice_from_string(fdpass_listener(told) ?: "");
                m->protocol = slice_from_string(fdpass_protocol(told) ?: "");
        }

        return message_encode(m, ret, size, ret_n);
}

int proxy_header_write(ProxyHeader kind, int client_fd, const struct fdpass *told, uint8_t *ret, size_t *ret_n) {
        Message m = MESSAGE_NULL;

        *ret_n = 0;
        if (kind == PROXY_HEADER_NONE)
                return 0;

        addresses_of(client_fd, told, &m.source, &m.destination);
        if (kind == PROXY_HEADER_V2)
                return write_v2(&m, told, ret, FDPASS_HEADER_MAX, ret_n);

        *ret_n = write_v1(&m.source, &m.destination, (char *) ret, FDPASS_HEADER_MAX);
        return 0;
}
