/* SPDX-License-Identifier: MIT-0 */

/* accept() on a worker's socket. */

#include "workers/preload/preload.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>

/* After so many connections of no use in a row the program may look after its clients. */
#define SKIPS_MAX 16

static bool sender_is_trusted(int conn_fd, const Listener *l) {
        struct ucred sender;
        socklen_t length = sizeof(sender);

        if (l->trusts_all)
                return true;
        if (real.getsockopt(conn_fd, SOL_SOCKET, SO_PEERCRED, &sender, &length) < 0)
                return false;

        /* 65534 is everybody whom this user namespace does not know. */
        return sender.uid == 0 || (sender.uid != 65534 && (sender.uid == geteuid() || sender.uid == l->owner));
}

/* As accept4() would: what the sender has set on the socket is no concern of the program's. */
static int set_flags(int fd, int flags) {
        int now = fcntl(fd, F_GETFL), wanted;

        if (now < 0)
                return -errno;

        wanted = (now & ~O_NONBLOCK) | (flags & SOCK_NONBLOCK ? O_NONBLOCK : 0);
        if (wanted != now && fcntl(fd, F_SETFL, wanted) < 0)
                return -errno;
        if (!(flags & SOCK_CLOEXEC) && fcntl(fd, F_SETFD, 0) < 0)
                return -errno;

        return 0;
}

static void set_options(int fd, unsigned options) {
        int on = 1;

        if (options & OPTION_NODELAY)
                (void) real.setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        if (options & OPTION_KEEPALIVE)
                (void) real.setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}

typedef int (*NameFunction)(int, struct sockaddr *, socklen_t *);

/* An address of an IP family, or none. False: the client is gone. */
static bool address_of(int fd, NameFunction name, Address *ret) {
        socklen_t length = sizeof(*ret);

        *ret = (Address){};
        if (name(fd, &ret->sa, &length) < 0)
                return false;

        if (ret->sa.sa_family != AF_INET && ret->sa.sa_family != AF_INET6)
                *ret = (Address){};
        return true;
}

static bool same(const Address *a, const Address *b) {
        return memcmp(a, b, address_length(a)) == 0;
}

/* In the form that the listener's family has. Who has bound the port for IPv6 alone wants IPv4 mapped. */
static void present(Address *a, const Listener *l) {
        address_present(a, l->family == AF_INET6);
        if (l->family == AF_INET && address_hide(a))
                say(SAY_FAMILY, "The program has port %u for IPv4 only, and so a client over IPv6 is 0.0.0.0 for it. "
                                "It should listen on [::] as well (nginx: listen [::]:%u).",
                    (unsigned) ntohs(l->claimed_port), (unsigned) ntohs(l->claimed_port));
}

/*
 * What the program is to see: the addresses that the broker was told of by a proxy before it rather than the
 * socket's, and the port that its listener has.
 */
static int claim_client(int fd, const Listener *l, const Told *told, Address *ret_peer) {
        Claim claim = { .kind = CLAIM_CLIENT };
        Address peer, local;

        if (!address_of(fd, real.getpeername, &peer) || !address_of(fd, real.getsockname, &local))
                return RECEIVE_SKIP;

        claim.peer = told->peer.sa.sa_family != AF_UNSPEC ? told->peer : peer;
        claim.local = told->local.sa.sa_family != AF_UNSPEC ? told->local : local;
        present(&claim.peer, l);
        present(&claim.local, l);
        if (l->claimed_port != 0)
                address_set_port(&claim.local, l->claimed_port);

        *ret_peer = claim.peer;
        if (claim.peer.sa.sa_family != AF_UNSPEC && !(same(&claim.peer, &peer) && same(&claim.local, &local)))
                claim_set(fd, &claim);
        return 0;
}

/* Of one connection. */
static int take_client(int conn_fd, int *place, int fd, const Listener *l, int flags, Address *ret_peer, int *ret_fd) {
        _cleanup_close_ int client_fd = -EBADF;
        Told told;
        int r;

        r = receive_client(conn_fd, place, fd, l, &told, &client_fd);
        if (r != 0)
                return r;

        r = set_flags(client_fd, flags);
        if (r == 0)
                r = claim_client(client_fd, l, &told, ret_peer);
        if (r != 0)
                return r;

        set_options(client_fd, l->options);

        *ret_fd = take_fd(&client_fd);
        return 0;
}

static bool is_nonblocking(int fd) {
        int flags = fcntl(fd, F_GETFL);

        return flags >= 0 && flags & O_NONBLOCK;
}

/* The program has another listener for it. What can't be told stays, and is found wrong later. */
static bool must_go(int conn_fd, int fd, const Listener *l) {
        sa_family_t family = l->other_fd > 0 ? receive_family(conn_fd, fd) : AF_UNSPEC;

        return (family == AF_INET || family == AF_INET6) && family != l->family;
}

static int next_connection(int fd, const Listener *l) {
        int conn_fd;

        if (l->is_other)
                return other_receive(fd);

        conn_fd = real.accept4(fd, NULL, NULL, SOCK_CLOEXEC);
        return conn_fd < 0 ? -errno : conn_fd;
}

int accept_client(int fd, const Listener *l, int flags, Address *ret_peer) {
        for (int i = 0; i < SKIPS_MAX; i++) {
                /* For the client, while the connection has one too: without room for both nothing is taken. */
                _cleanup_close_ int place = fcntl(fd, F_DUPFD_CLOEXEC, 0);
                int conn_fd, client_fd, r;

                if (place < 0)
                        return -errno;
                conn_fd = next_connection(fd, l);
                if (conn_fd < 0)
                        return conn_fd;

                if (!sender_is_trusted(conn_fd, l)) {
                        close_at(&conn_fd);
                        say(SAY_SENDER, "A sender on %s is neither root nor one that the socket's mode speaks for: "
                                        "it needs SocketUser=fdpass and SocketMode=0600.", l->name.sun_path);
                        continue;
                }

                if (must_go(conn_fd, fd, l) && other_send(conn_fd, l) > 0) {
                        /* git daemon, for one, asks poll() and has sockets that block: it must not wait for the next. */
                        if (!is_nonblocking(fd))
                                break;
                        continue;
                }

                r = take_client(conn_fd, &place, fd, l, flags, ret_peer, &client_fd);
                if (r == 0)
                        return client_fd;
                if (r < 0)
                        return r;
                if (r == RECEIVE_SILENT)
                        break; /* that was waiting enough for one call */
        }

        /* A program that doesn't block looks again (accept(2) has this error for a client that is gone). */
        return -ECONNABORTED;
}
