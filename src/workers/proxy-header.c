/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "workers/proxy-header.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "handoff/message.h"

/* Converts an IPv4-mapped address (RFC 4291, 2.5.5.2), which a socket for both families has for IPv4, to IPv4. */
static void header_unmap(MessageAddress *a) {
        struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = a->in6.sin6_port };

        memcpy(&in.sin_addr, a->in6.sin6_addr.s6_addr + 12, sizeof(in.sin_addr));
        *a = (MessageAddress){ .in = in };
}

/* Finds both addresses of a client. Both have AF_UNSPEC if one is unknown or their families differ. */
static void header_addresses_of(int client_fd, const struct fdpass *info, MessageAddress *source,
                                MessageAddress *destination) {
        struct sockaddr_storage ss = {};
        const struct sockaddr *sa;
        socklen_t n = sizeof(ss);

        *source = *destination = (MessageAddress){};

        if (info) {
                sa = fdpass_peer(info, &n);
                if (sa)
                        message_address_set(source, sa, n);
                sa = fdpass_local(info, &n);
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
                header_unmap(source);
                header_unmap(destination);
        }

        if (source->sa.sa_family != destination->sa.sa_family)
                *source = *destination = (MessageAddress){};
}

static unsigned header_port_of(const MessageAddress *a) {
        return ntohs(a->sa.sa_family == AF_INET6 ? a->in6.sin6_port : a->in.sin_port);
}

unsigned client_port(int client_fd, const struct fdpass *info) {
        MessageAddress source, destination;

        header_addresses_of(client_fd, info, &source, &destination);
        return header_port_of(&destination);
}

static const void *header_binary_address(const MessageAddress *a) {
        return a->sa.sa_family == AF_INET6 ? (const void *) &a->in6.sin6_addr : &a->in.sin_addr;
}

static size_t header_write_v1(const MessageAddress *source, const MessageAddress *destination, char *ret, size_t size) {
        char from[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN];
        int n;

        if (source->sa.sa_family == AF_UNSPEC)
                n = snprintf(ret, size, "PROXY UNKNOWN\r\n");
        else
                n = snprintf(ret, size, "PROXY TCP%c %s %s %u %u\r\n", source->sa.sa_family == AF_INET6 ? '6' : '4',
                             inet_ntop(source->sa.sa_family, header_binary_address(source), from, sizeof(from)),
                             inet_ntop(source->sa.sa_family, header_binary_address(destination), to, sizeof(to)),
                             header_port_of(source), header_port_of(destination));

        return (size_t) n;
}

static Slice header_slice(const void *(*get)(const struct fdpass *, size_t *), const struct fdpass *info) {
        size_t n;
        const void *p = get(info, &n);

        return (Slice){ p, n };
}

/* The header is that of a handoff. Readers of the PROXY protocol skip TLVs of unknown types (section 2.2). */
static int header_write_v2(Message *m, const struct fdpass *info, uint8_t *ret, size_t size, size_t *ret_n) {
        if (info) {
                m->alpn = header_slice(fdpass_alpn, info);
                m->unique_id = header_slice(fdpass_unique_id, info);
                m->ssl.p = fdpass_tlv(info, FDPASS_TLV_SSL, &m->ssl.n);
                m->proxy.p = fdpass_tlv(info, FDPASS_TLV_PROXY, &m->proxy.n);
                m->authority = slice_from_string(fdpass_authority(info) ?: "");
                m->route = slice_from_string(fdpass_route(info) ?: "");
                m->listener = slice_from_string(fdpass_listener(info) ?: "");
                m->protocol = slice_from_string(fdpass_protocol(info) ?: "");
        }

        return message_encode(m, ret, size, ret_n);
}

int proxy_header_write(ProxyHeader kind, int client_fd, const struct fdpass *info, uint8_t *ret, size_t *ret_n) {
        Message m = MESSAGE_NULL;

        *ret_n = 0;
        if (kind == PROXY_HEADER_NONE)
                return 0;

        header_addresses_of(client_fd, info, &m.source, &m.destination);
        if (kind == PROXY_HEADER_V2)
                return header_write_v2(&m, info, ret, FDPASS_HEADER_MAX, ret_n);

        *ret_n = header_write_v1(&m.source, &m.destination, (char *) ret, FDPASS_HEADER_MAX);
        return 0;
}
