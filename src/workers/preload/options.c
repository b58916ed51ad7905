/* SPDX-License-Identifier: MIT-0 */

/* Wrappers of the functions that read the addresses of sockets, and read and set their options. */

#include "workers/preload/follow.h"

#include <netinet/tcp.h>

/* See wrappers.c for these declarations. */
_public_ int preload_getpeername(int fd, struct sockaddr *address, socklen_t *length) __asm__("getpeername");
_public_ int preload_getsockname(int fd, struct sockaddr *address, socklen_t *length) __asm__("getsockname");
_public_ int preload_getsockopt(int fd, int level, int option, void *value, socklen_t *length) __asm__("getsockopt");
_public_ int preload_setsockopt(int fd, int level, int option, const void *value, socklen_t n) __asm__("setsockopt");

int preload_getpeername(int fd, struct sockaddr *address, socklen_t *length) {
        socklen_t room = length ? *length : 0;
        Override override;
        int r;

        preload_init();
        r = real.getpeername(fd, address, length);
        if (r == 0 && override_get(fd, &override) && override.kind == OVERRIDE_CLIENT) {
                *length = room;
                address_give(&override.peer, address, length);
        }

        return r;
}

int preload_getsockname(int fd, struct sockaddr *address, socklen_t *length) {
        IpAddress any = { .in6 = { .sin6_family = AF_INET6 } };
        socklen_t room = length ? *length : 0;
        Override override;
        WorkerSocket w;
        int r;

        preload_init();
        r = real.getsockname(fd, address, length);
        if (r < 0)
                return r;

        if (override_get(fd, &override)) {
                *length = room;
                address_give(&override.local, address, length);
        } else if (environment.n_ports > 0 && worker_socket_find(fd, &w)) {
                any.in6.sin6_port = w.port;
                *length = room;
                address_give(&any, address, length);
        }

        return r;
}

/* Returns the family that the program sees instead of AF_UNIX, or AF_UNSPEC if it sees the kernel's answer. */
static sa_family_t options_seen_family(int fd, bool *ret_listens) {
        Override override;
        WorkerSocket w;

        *ret_listens = false;
        if (override_get(fd, &override))
                return override.local.sa.sa_family;
        if (!worker_socket_find(fd, &w))
                return AF_UNSPEC;

        *ret_listens = true;
        return w.port != 0 ? AF_INET6 : AF_UNSPEC;
}

/* Replaces the value of an option of SOL_SOCKET by what the program is to see. */
static void options_override(int fd, int option, int *value) {
        bool listens;
        sa_family_t family;

        /* The end of a pair does not listen as far as the kernel knows. */
        if (option == SO_ACCEPTCONN && worker_socket_find(fd, &(WorkerSocket){}))
                *value = 1;
        if (option != SO_TYPE && option != SO_DOMAIN && option != SO_PROTOCOL)
                return;

        family = options_seen_family(fd, &listens);
        if (option == SO_TYPE && (listens || is_ip(family))) /* a SOCK_SEQPACKET socket has streams as clients */
                *value = SOCK_STREAM;
        if (option == SO_DOMAIN && is_ip(family))
                *value = family;
        if (option == SO_PROTOCOL && is_ip(family))
                *value = IPPROTO_TCP;
}

/* Returns true for a socket of AF_UNIX that the program may take for one of TCP. */
static bool options_is_disguised(int fd) {
        Override override;
        WorkerSocket w;

        return override_get(fd, &override) ? override.kind != OVERRIDE_CLIENT : worker_socket_find(fd, &w);
}

/* AF_UNIX has no options of TCP: such a call is to succeed, and an option that was never set is 0. */
static bool options_is_missing(int fd) {
        return (errno == EOPNOTSUPP || errno == ENOPROTOOPT) && options_is_disguised(fd);
}

int preload_getsockopt(int fd, int level, int option, void *value, socklen_t *length) {
        int saved_errno = errno, r, seen;

        preload_init();
        r = real.getsockopt(fd, level, option, value, length);
        if (r < 0) {
                if (level == SOL_SOCKET || !value || !length || !options_is_missing(fd))
                        return r;

                memset(value, 0, *length);
                errno = saved_errno;
                return 0;
        }

        if (level == SOL_SOCKET && *length == sizeof(int)) {
                memcpy(&seen, value, sizeof(seen));
                options_override(fd, option, &seen);
                memcpy(value, &seen, sizeof(seen));
        }

        return r;
}

unsigned options_of(int fd) {
        int nodelay = 0;
        socklen_t length = sizeof(nodelay);
        Override override;

        if (override_get(fd, &override))
                return override.options;

        (void) real.getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, &length);
        return (nodelay > 0 ? OPTION_NODELAY : 0) | (socket_option(fd, SO_KEEPALIVE) > 0 ? OPTION_KEEPALIVE : 0);
}

/* Records an option that accepted clients have to get. */
static void options_record(int fd, int level, int option, const void *value, socklen_t length) {
        unsigned which = 0;
        Override override;
        int on;

        if (level == IPPROTO_TCP && option == TCP_NODELAY)
                which = OPTION_NODELAY;
        else if (level == SOL_SOCKET && option == SO_KEEPALIVE)
                which = OPTION_KEEPALIVE;
        if (which == 0 || !value || length != sizeof(on))
                return;

        memcpy(&on, value, sizeof(on));
        if (override_get(fd, &override) && override.kind == OVERRIDE_FUTURE) {
                override.options = on ? override.options | which : override.options & ~which;
                override_set(fd, &override);
        } else
                worker_socket_set_options(fd, on ? which : 0, on ? 0 : which);
}

int preload_setsockopt(int fd, int level, int option, const void *value, socklen_t length) {
        int saved_errno = errno, r;
        Follow *f;

        preload_init();
        f = follow_find(fd);
        if (f && follow_is_gone(f, fd))
                return 0;

        r = real.setsockopt(fd, level, option, value, length);
        if (r < 0 && options_is_missing(fd)) {
                errno = saved_errno;
                r = 0;
        }
        if (r == 0 && !f) /* a client is no listener, and does not become one */
                options_record(fd, level, option, value, length);
        if (r == 0 && f)
                follow_note_option(f, level, option, value, length);

        return r;
}
