/* SPDX-License-Identifier: MIT-0 */

/*
 * Wrappers of the functions that make, bind and accept sockets. Each calls libc's function for a socket that is not a
 * worker's.
 */

#include "workers/preload/follow.h"
#include "workers/preload/secure.h"

#include <arpa/inet.h>

/* The symbols have other names in C, because libc's headers declare the real ones with types that can't be repeated. */
_public_ int preload_accept(int fd, struct sockaddr *address, socklen_t *length) __asm__("accept");
_public_ int preload_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags) __asm__("accept4");
_public_ int preload_bind(int fd, const struct sockaddr *address, socklen_t length) __asm__("bind");
_public_ int preload_connect(int fd, const struct sockaddr *address, socklen_t length) __asm__("connect");
_public_ int preload_listen(int fd, int backlog) __asm__("listen");
_public_ int preload_shutdown(int fd, int how) __asm__("shutdown");
_public_ int preload_socket(int domain, int type, int protocol) __asm__("socket");

int preload_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags) {
        int saved_errno = errno, client_fd;
        IpAddress peer;
        WorkerSocket w;

        preload_init();
        if (!worker_socket_find(fd, &w)) {
                client_fd = real.accept4(fd, address, length, flags);
                follow_forget(client_fd);
                secure_forget(client_fd);
                return client_fd;
        }

        if (flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) {
                errno = EINVAL;
                return -1;
        }

        client_fd = accept_client(fd, &w, flags, &peer);
        if (client_fd < 0) {
                errno = -client_fd;
                return -1;
        }
        stopping_note_accept(fd);

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

/* Returns true if the program asked for a TCP socket that the service may not have (RestrictAddressFamilies=). */
static bool preload_may_substitute(int domain, int type) {
        return errno == EAFNOSUPPORT && environment.n_ports > 0 && is_ip(domain) &&
               (type & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) == SOCK_STREAM;
}

int preload_socket(int domain, int type, int protocol) {
        Override override = { .kind = OVERRIDE_FUTURE };
        int fd;

        preload_init();
        fd = real.socket(domain, type, protocol);
        follow_forget(fd);
        secure_forget(fd);
        if (fd >= 0 || !preload_may_substitute(domain, type))
                return fd;

        fd = real.socket(AF_UNIX, type, 0);
        if (fd < 0)
                return fd;

        override.local.sa.sa_family = (sa_family_t) domain;
        override_set(fd, &override);
        return fd;
}

/* Copies a path to @ret, which always ends with NUL. */
static bool preload_read_path(const struct sockaddr *address, socklen_t length, struct sockaddr_un *ret) {
        if (address->sa_family != AF_UNIX || length <= offsetof(struct sockaddr_un, sun_path))
                return false;

        *ret = (struct sockaddr_un){};
        memcpy(ret, address, length < sizeof(*ret) ? length : sizeof(*ret) - 1);
        return true;
}

static bool preload_read_ip(const struct sockaddr *address, socklen_t length, IpAddress *ret) {
        *ret = (IpAddress){};

        if (length >= sizeof(ret->in) && address->sa_family == AF_INET)
                memcpy(&ret->in, address, sizeof(ret->in));
        else if (length >= sizeof(ret->in6) && address->sa_family == AF_INET6)
                memcpy(&ret->in6, address, sizeof(ret->in6));

        return ret->sa.sa_family != AF_UNSPEC;
}

/* Returns 1 if a socket that systemd passed has replaced @fd, 0 if bind() is for the kernel, or a negative errno. */
static int preload_bind_passed(int fd, const struct sockaddr *address, socklen_t length) {
        struct sockaddr_un name;
        IpAddress wanted;

        if (!address || length < sizeof(sa_family_t))
                return 0;

        if (preload_read_path(address, length, &name))
                return passed_replace_path(fd, name.sun_path);

        if (!preload_read_ip(address, length, &wanted) || socket_option(fd, SO_TYPE) != SOCK_STREAM)
                return 0;

        return passed_replace_port(fd, &wanted, options_of(fd));
}

/* The program's TCP socket is one of AF_UNIX, which can't be bound to a port that systemd did not pass. */
static int preload_refuse_bind(const struct sockaddr *address, socklen_t length) {
        const struct sockaddr_in *in = (const struct sockaddr_in *) (const void *) address;

        log_once(TOPIC_PORT, "The program wants port %u, which is not in FDPASS_LISTEN=, and the service may "
                             "have no socket of IP (RestrictAddressFamilies=).",
                 address && length >= sizeof(*in) ? (unsigned) ntohs(in->sin_port) : 0);
        errno = EADDRNOTAVAIL;
        return -1;
}

int preload_bind(int fd, const struct sockaddr *address, socklen_t length) {
        Override override;
        int r;

        preload_init();
        r = preload_bind_passed(fd, address, length);
        if (r < 0) {
                errno = -r;
                return -1;
        }
        if (r > 0)
                return 0;

        if (override_get(fd, &override) && override.kind == OVERRIDE_FUTURE)
                return preload_refuse_bind(address, length);

        return real.bind(fd, address, length);
}

int preload_connect(int fd, const struct sockaddr *address, socklen_t length) {
        Override override;

        preload_init();
        if (override_get(fd, &override) && override.kind == OVERRIDE_FUTURE) {
                errno = ENETUNREACH;
                return -1;
        }

        return real.connect(fd, address, length);
}

/* A warning and no error, because it may be intended that the program has ports that fdpass does not serve. */
static void preload_warn_port(int fd) {
        IpAddress a = {};
        socklen_t length = sizeof(a);
        unsigned port;

        if (real.getsockname(fd, &a.sa, &length) < 0 || !is_ip(a.sa.sa_family))
                return;

        port = ntohs(a.in.sin_port);
        log_once(TOPIC_PORT, "The program listens on TCP port %u by itself, where fdpass doesn't come. To have its "
                             "clients there: FDPASS_LISTEN=%u.", port, port);
}

/* A socket that systemd passed listens already, with the Backlog= of its unit. */
int preload_listen(int fd, int backlog) {
        int saved_errno = errno, r;
        WorkerSocket w;

        preload_init();
        if (worker_socket_find(fd, &w)) {
                inherited_note_listen(fd);
                return 0;
        }

        r = real.listen(fd, backlog);
        if (r == 0) {
                preload_warn_port(fd);
                errno = saved_errno;
        }
        return r;
}

/*
 * shutdown(2) of a worker's socket would affect all its descriptors, systemd's too, and the socket unit would fail. That
 * of a client which was handed back would end it for the next worker.
 */
int preload_shutdown(int fd, int how) {
        WorkerSocket w;
        Follow *f;

        preload_init();
        f = follow_find(fd);
        if (worker_socket_find(fd, &w) || (f && follow_is_gone(f, fd)))
                return 0;

        /* Apache closes the descriptor at once after this error, and otherwise waits for the client to close. */
        if (f && how != SHUT_RD && stopping_hands_back(f, fd)) {
                errno = ENOTCONN;
                return -1;
        }

        /* The program may go on reading, until the client closes. */
        if (f && how != SHUT_RD)
                follow_end(f);
        if (how != SHUT_RD)
                secure_before_shutdown(fd);
        return real.shutdown(fd, how);
}
