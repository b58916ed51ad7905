/* SPDX-License-Identifier: MIT-0 */

/* The functions of libc that the program calls. Each is libc's own for every socket that is no business of ours. */

#include "workers/preload/preload.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <netinet/tcp.h>
#include <stdatomic.h>

#include "basic/confine.h"

#define _public_ __attribute__((visibility("default")))

/* Under names of our own, because libc's headers declare the real ones with types that no definition may repeat. */
_public_ int preload_accept(int fd, struct sockaddr *address, socklen_t *length) __asm__("accept");
_public_ int preload_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags) __asm__("accept4");
_public_ int preload_bind(int fd, const struct sockaddr *address, socklen_t length) __asm__("bind");
_public_ int preload_connect(int fd, const struct sockaddr *address, socklen_t length) __asm__("connect");
_public_ int preload_getpeername(int fd, struct sockaddr *address, socklen_t *length) __asm__("getpeername");
_public_ int preload_getsockname(int fd, struct sockaddr *address, socklen_t *length) __asm__("getsockname");
_public_ int preload_getsockopt(int fd, int level, int option, void *value, socklen_t *length) __asm__("getsockopt");
_public_ int preload_listen(int fd, int backlog) __asm__("listen");
_public_ int preload_setsockopt(int fd, int level, int option, const void *value, socklen_t length) __asm__("setsockopt");
_public_ int preload_shutdown(int fd, int how) __asm__("shutdown");
_public_ int preload_socket(int domain, int type, int protocol) __asm__("socket");

Real real;

/* POSIX lets a pointer to an object be one to a function; ISO C has no cast for it. */
static void find(const char *name, void *ret) {
        void *f = dlsym(RTLD_NEXT, name);

        if (!f)
                give_up("There is no %s() to stand in front of.", name);
        memcpy(ret, &f, sizeof(f));
}

/* listen(2) stays, because servers have AF_UNIX sockets of their own; the service's SystemCallFilter= can take it. */
static void preload_confine(void) {
        int saved_errno = errno, r;

        r = confine(CONFINE_MAY_CONNECT | CONFINE_MAY_LISTEN);
        if (r < 0 && settings.confine == CONFINE_YES)
                give_up("FDPASS_CONFINE=yes can't be had: %s.",
                        r == -EOPNOTSUPP ? "the kernel has no Landlock with rights for TCP" : strerror(-r));
        errno = saved_errno;
}

__attribute__((constructor)) void preload_init(void) {
        static atomic_bool is_done;

        if (atomic_exchange(&is_done, true))
                return;

        say_init();
        find("accept4", &real.accept4);
        find("bind", &real.bind);
        find("connect", &real.connect);
        find("getpeername", &real.getpeername);
        find("getsockname", &real.getsockname);
        find("getsockopt", &real.getsockopt);
        find("listen", &real.listen);
        find("setsockopt", &real.setsockopt);
        find("shutdown", &real.shutdown);
        find("socket", &real.socket);
        settings_init();
        listeners_init();
        if (settings.confine == CONFINE_YES || (settings.confine == CONFINE_AUTO && confine_is_due()))
                preload_confine();
}

int socket_option(int fd, int option) {
        int value = 0;
        socklen_t length = sizeof(value);

        return real.getsockopt(fd, SOL_SOCKET, option, &value, &length) < 0 ? -errno : value;
}

uint64_t socket_cookie(int fd) {
        int saved_errno = errno;
        uint64_t value = 0;
        socklen_t length = sizeof(value);

        if (real.getsockopt(fd, SOL_SOCKET, SO_COOKIE, &value, &length) < 0)
                value = 0;

        errno = saved_errno;
        return value;
}

static bool is_ip(int family) {
        return family == AF_INET || family == AF_INET6;
}

/* A socket of AF_UNIX that the program may take for one of TCP. */
static bool poses(int fd) {
        Listener l;
        Claim claim;

        return claim_get(fd, &claim) ? claim.kind != CLAIM_CLIENT : listener_find(fd, &l);
}

int preload_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags) {
        int saved_errno = errno, client_fd;
        Address peer;
        Listener l;

        preload_init();
        if (!listener_find(fd, &l))
                return real.accept4(fd, address, length, flags);

        if (flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) {
                errno = EINVAL;
                return -1;
        }

        client_fd = accept_client(fd, &l, flags, &peer);
        if (client_fd < 0) {
                errno = -client_fd;
                return -1;
        }

        if (address && length) {
                if (is_ip(peer.sa.sa_family))
                        address_give(&peer, address, length);
                else
                        (void) real.getpeername(client_fd, address, length);
        }

        errno = saved_errno;
        return client_fd;
}

int preload_accept(int fd, struct sockaddr *address, socklen_t *length) {
        return preload_accept4(fd, address, length, 0);
}

/* Whether a program that asked for a socket of TCP is to have one of AF_UNIX, because the service may have no other. */
static bool may_pretend(int domain, int type) {
        return errno == EAFNOSUPPORT && settings.n_ports > 0 && is_ip(domain) &&
               (type & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) == SOCK_STREAM;
}

int preload_socket(int domain, int type, int protocol) {
        Claim claim = { .kind = CLAIM_FUTURE };
        int fd;

        preload_init();
        fd = real.socket(domain, type, protocol);
        if (fd >= 0 || !may_pretend(domain, type))
                return fd;

        fd = real.socket(AF_UNIX, type, 0);
        if (fd < 0)
                return fd;

        claim.local.sa.sa_family = (sa_family_t) domain;
        claim_set(fd, &claim);
        return fd;
}

/* What @fd would pass on to its clients. */
static unsigned options_of(int fd) {
        int nodelay = 0;
        socklen_t length = sizeof(nodelay);
        Claim claim;

        if (claim_get(fd, &claim))
                return claim.options;

        (void) real.getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, &length);
        return (nodelay > 0 ? OPTION_NODELAY : 0) | (socket_option(fd, SO_KEEPALIVE) > 0 ? OPTION_KEEPALIVE : 0);
}

/* Returns 1 where a socket that systemd has passed is in its place now, 0 where bind() is for the kernel. */
static int bind_passed(int fd, const struct sockaddr *address, socklen_t length) {
        Address wanted = {};

        if (!address || length < sizeof(sa_family_t))
                return 0;

        if (address->sa_family == AF_UNIX && length > offsetof(struct sockaddr_un, sun_path)) {
                struct sockaddr_un name = {};

                memcpy(&name, address, length < sizeof(name) ? length : sizeof(name) - 1);
                return listener_replace_named(fd, name.sun_path);
        }

        if (length >= sizeof(wanted.in) && address->sa_family == AF_INET)
                memcpy(&wanted.in, address, sizeof(wanted.in));
        else if (length >= sizeof(wanted.in6) && address->sa_family == AF_INET6)
                memcpy(&wanted.in6, address, sizeof(wanted.in6));
        else
                return 0;

        return socket_option(fd, SO_TYPE) == SOCK_STREAM ? listener_replace(fd, &wanted, options_of(fd)) : 0;
}

int preload_bind(int fd, const struct sockaddr *address, socklen_t length) {
        Claim claim;
        int r;

        preload_init();
        r = bind_passed(fd, address, length);
        if (r < 0) {
                errno = -r;
                return -1;
        }
        if (r > 0)
                return 0;

        if (claim_get(fd, &claim) && claim.kind == CLAIM_FUTURE) {
                const struct sockaddr_in *in = (const struct sockaddr_in *) (const void *) address;

                say(SAY_OTHER_PORT, "The program wants port %u, which is not in FDPASS_LISTEN=, and the service may "
                                    "have no socket of IP (RestrictAddressFamilies=).",
                    address && length >= sizeof(*in) ? (unsigned) ntohs(in->sin_port) : 0);
                errno = EADDRNOTAVAIL;
                return -1;
        }

        return real.bind(fd, address, length);
}

int preload_connect(int fd, const struct sockaddr *address, socklen_t length) {
        Claim claim;

        preload_init();
        if (claim_get(fd, &claim) && claim.kind == CLAIM_FUTURE) {
                errno = ENETUNREACH;
                return -1;
        }

        return real.connect(fd, address, length);
}

/* Nobody outside would come to it: worth a word, but not more, it may be meant. */
static void say_listens(int fd) {
        Address a = {};
        socklen_t length = sizeof(a);

        if (real.getsockname(fd, &a.sa, &length) < 0 || !is_ip(a.sa.sa_family))
                return;

        unsigned port = ntohs(a.in.sin_port);

        say(SAY_OTHER_PORT, "The program listens on TCP port %u by itself, where fdpass doesn't come. To have its "
                            "clients there: FDPASS_LISTEN=%u.", port, port);
}

/* The socket of systemd's listens already, with the Backlog= of its unit. */
int preload_listen(int fd, int backlog) {
        int saved_errno = errno, r;
        Listener l;

        preload_init();
        if (listener_find(fd, &l))
                return 0;

        r = real.listen(fd, backlog);
        if (r == 0) {
                say_listens(fd);
                errno = saved_errno;
        }
        return r;
}

/* It would close the socket for everybody, and systemd's unit would fail. */
int preload_shutdown(int fd, int how) {
        Listener l;

        preload_init();
        return listener_find(fd, &l) ? 0 : real.shutdown(fd, how);
}

int preload_getpeername(int fd, struct sockaddr *address, socklen_t *length) {
        socklen_t room = length ? *length : 0;
        Claim claim;
        int r;

        preload_init();
        r = real.getpeername(fd, address, length);
        if (r == 0 && claim_get(fd, &claim) && claim.kind == CLAIM_CLIENT) {
                *length = room;
                address_give(&claim.peer, address, length);
        }

        return r;
}

int preload_getsockname(int fd, struct sockaddr *address, socklen_t *length) {
        socklen_t room = length ? *length : 0;
        Claim claim;
        Listener l;
        int r;

        preload_init();
        r = real.getsockname(fd, address, length);
        if (r < 0)
                return r;

        if (claim_get(fd, &claim)) {
                *length = room;
                address_give(&claim.local, address, length);
        } else if (settings.n_ports > 0 && listener_find(fd, &l)) {
                *length = room;
                address_give(&(Address){ .in6 = { .sin6_family = AF_INET6, .sin6_port = l.claimed_port } }, address,
                             length);
        }

        return r;
}

/* The family that the program is to see, or AF_UNSPEC for the true one. */
static sa_family_t seen_family(int fd, bool *ret_listens) {
        Claim claim;
        Listener l;

        *ret_listens = false;
        if (claim_get(fd, &claim))
                return claim.local.sa.sa_family;
        if (!listener_find(fd, &l))
                return AF_UNSPEC;

        *ret_listens = true;
        return l.claimed_port != 0 ? AF_INET6 : AF_UNSPEC;
}

static int seen_option(int fd, int option, int value) {
        bool listens;
        sa_family_t family = seen_family(fd, &listens);

        switch (option) {

        case SO_TYPE: /* whatever the form: its clients are streams */
                return listens || is_ip(family) ? SOCK_STREAM : value;

        case SO_DOMAIN:
                return is_ip(family) ? family : value;

        default:
                return is_ip(family) ? IPPROTO_TCP : value;
        }
}

int preload_getsockopt(int fd, int level, int option, void *value, socklen_t *length) {
        int saved_errno = errno, r;

        preload_init();
        r = real.getsockopt(fd, level, option, value, length);
        if (r < 0) {
                if ((errno != EOPNOTSUPP && errno != ENOPROTOOPT) || level == SOL_SOCKET || !value || !length ||
                    !poses(fd))
                        return r;

                /* An option of TCP that was never set. */
                memset(value, 0, *length);
                errno = saved_errno;
                return 0;
        }

        if (level == SOL_SOCKET && (option == SO_TYPE || option == SO_DOMAIN || option == SO_PROTOCOL) &&
            *length == sizeof(int)) {
                int seen;

                memcpy(&seen, value, sizeof(seen));
                seen = seen_option(fd, option, seen);
                memcpy(value, &seen, sizeof(seen));
        }

        /* A pair's end doesn't listen, as far as the kernel knows. */
        if (level == SOL_SOCKET && option == SO_ACCEPTCONN && *length == sizeof(int) && listener_find(fd, &(Listener){}))
                memcpy(value, &(int){ 1 }, sizeof(int));

        return r;
}

/* The options of @claim or of the listener that clients are to have. */
static void note_option(int fd, int level, int option, const void *value, socklen_t length) {
        unsigned which = 0;
        Claim claim;
        int on;

        if (level == IPPROTO_TCP && option == TCP_NODELAY)
                which = OPTION_NODELAY;
        else if (level == SOL_SOCKET && option == SO_KEEPALIVE)
                which = OPTION_KEEPALIVE;
        if (which == 0 || !value || length != sizeof(on))
                return;

        memcpy(&on, value, sizeof(on));
        if (claim_get(fd, &claim) && claim.kind == CLAIM_FUTURE) {
                claim.options = on ? claim.options | which : claim.options & ~which;
                claim_set(fd, &claim);
        } else
                listener_set_options(fd, on ? which : 0, on ? 0 : which);
}

int preload_setsockopt(int fd, int level, int option, const void *value, socklen_t length) {
        int saved_errno = errno, r;

        preload_init();
        r = real.setsockopt(fd, level, option, value, length);
        if (r < 0 && (errno == EOPNOTSUPP || errno == ENOPROTOOPT) && poses(fd)) {
                errno = saved_errno;
                r = 0;
        }
        if (r == 0)
                note_option(fd, level, option, value, length);

        return r;
}
