/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>

static void address_write_in4(const struct in_addr *address, in_port_t port, char *ret) {
        char host[INET_ADDRSTRLEN];

        (void) inet_ntop(AF_INET, address, host, sizeof(host));
        (void) snprintf(ret, ADDRESS_TEXT_MAX, "%s:%u", host, ntohs(port));
}

static void address_write_in6(const struct sockaddr_in6 *sin6, char *ret) {
        char host[INET6_ADDRSTRLEN], scope[16] = "";

        if (IN6_IS_ADDR_V4MAPPED(&sin6->sin6_addr)) {
                struct in_addr in4;

                memcpy(&in4, sin6->sin6_addr.s6_addr + 12, sizeof(in4));
                address_write_in4(&in4, sin6->sin6_port, ret);
                return;
        }

        (void) inet_ntop(AF_INET6, &sin6->sin6_addr, host, sizeof(host));
        if (sin6->sin6_scope_id != 0)
                (void) snprintf(scope, sizeof(scope), "%%%u", sin6->sin6_scope_id);
        (void) snprintf(ret, ADDRESS_TEXT_MAX, "[%s%s]:%u", host, scope, ntohs(sin6->sin6_port));
}

static void address_write_unix(const struct sockaddr_un *sun, socklen_t len, char *ret) {
        size_t l = len > offsetof(struct sockaddr_un, sun_path) ? len - offsetof(struct sockaddr_un, sun_path) : 0;

        l = MIN(l, sizeof(sun->sun_path));

        if (l == 0)
                (void) snprintf(ret, ADDRESS_TEXT_MAX, "unix");
        else if (sun->sun_path[0] == 0)
                (void) snprintf(ret, ADDRESS_TEXT_MAX, "unix:@%.*s", (int) l - 1, sun->sun_path + 1);
        else
                (void) snprintf(ret, ADDRESS_TEXT_MAX, "unix:%.*s", (int) l, sun->sun_path);
}

void address_to_text(const struct sockaddr *sa, socklen_t len, char ret[static ADDRESS_TEXT_MAX]) {
        /* A copy, because @sa need not be aligned for the type of its family. */
        union {
                struct sockaddr_in in;
                struct sockaddr_in6 in6;
                struct sockaddr_un un;
        } u = {};

        memcpy(&u, sa, MIN((size_t) len, sizeof(u)));

        if (len >= sizeof(u.in) && sa->sa_family == AF_INET)
                address_write_in4(&u.in.sin_addr, u.in.sin_port, ret);
        else if (len >= sizeof(u.in6) && sa->sa_family == AF_INET6)
                address_write_in6(&u.in6, ret);
        else if (len >= sizeof(sa_family_t) && sa->sa_family == AF_UNIX)
                address_write_unix(&u.un, len, ret);
        else
                (void) snprintf(ret, ADDRESS_TEXT_MAX, "unknown");
}

void address_to_host(const struct sockaddr *sa, socklen_t len, char ret[static ADDRESS_TEXT_MAX]) {
        char *colon;

        address_to_text(sa, len, ret);
        if (sa->sa_family != AF_INET && sa->sa_family != AF_INET6)
                return;

        if (ret[0] == '[')
                memmove(ret, ret + 1, strcspn(ret, "]"));
        else if ((colon = strrchr(ret, ':')))
                *colon = '\0';
        ret[strcspn(ret, "]")] = '\0';
}

void address_of_peer(int fd, char ret[static ADDRESS_TEXT_MAX]) {
        struct sockaddr_storage ss = {};
        socklen_t len = sizeof(ss);

        if (getpeername(fd, (struct sockaddr *) &ss, &len) < 0)
                len = 0;

        address_to_text((const struct sockaddr *) &ss, len, ret);
}

int address_from_path(const char *path, struct sockaddr_un *ret, socklen_t *ret_len) {
        size_t l = strlen(path);

        if (l >= sizeof(ret->sun_path))
                return -ENAMETOOLONG;

        *ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
        memcpy(ret->sun_path, path, l + 1);
        *ret_len = (socklen_t) (offsetof(struct sockaddr_un, sun_path) + l + 1);
        return 0;
}
