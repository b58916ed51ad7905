/* SPDX-License-Identifier: MIT-0 */

/* accept() on a worker's socket. */

#include "workers/preload/follow.h"
#include "workers/preload/kept.h"
#include "workers/preload/secure.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>

/* Connections without a client that one call skips at most, so that the program can serve its other clients. */
#define SKIPS_MAX 16

/* The UID that stands for all users that the user namespace does not map (user_namespaces(7), overflowuid). */
#define OVERFLOW_UID 65534

/* The result of a connection that the program's other listener got, beside RECEIVE_…. */
#define ACCEPT_MOVED (RECEIVE_SILENT + 1)

static bool accept_is_trusted(int conn_fd, const WorkerSocket *w) {
        struct ucred sender;
        socklen_t length = sizeof(sender);

        if (w->trusts_all)
                return true;
        if (real.getsockopt(conn_fd, SOL_SOCKET, SO_PEERCRED, &sender, &length) < 0)
                return false;

        return sender.uid == 0 ||
               (sender.uid != OVERFLOW_UID && (sender.uid == geteuid() || sender.uid == w->owner));
}

/* Gives @fd the flag that accept4(2) would give it, and no other. The sender may have set others. */
static int accept_apply_flags(int fd, int flags) {
        return fcntl(fd, F_SETFL, flags & SOCK_NONBLOCK ? O_NONBLOCK : 0) < 0 ? -errno : 0;
}

static void accept_set_options(int fd, unsigned options) {
        int on = 1;

        if (options & OPTION_NODELAY)
                (void) real.setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        if (options & OPTION_KEEPALIVE)
                (void) real.setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}

typedef int (*NameFunction)(int, struct sockaddr *, socklen_t *);

/* Reads an address of IPv4 or IPv6, or AF_UNSPEC for other families. Returns false if the client is gone. */
static bool accept_read_address(int fd, NameFunction name, IpAddress *ret) {
        socklen_t length = sizeof(*ret);

        *ret = (IpAddress){};
        if (name(fd, &ret->sa, &length) < 0)
                return false;

        if (!is_ip(ret->sa.sa_family))
                *ret = (IpAddress){};
        return true;
}

static bool accept_is_same(const IpAddress *a, const IpAddress *b) {
        return memcmp(a, b, address_length(a)) == 0;
}

/* Converts an address to the form of the listener's family. A listener for IPv6 alone gets IPv4 mapped. */
static void accept_present(IpAddress *a, const WorkerSocket *w) {
        address_present(a, w->family == AF_INET6);
        if (w->family == AF_INET && address_hide(a))
                log_once(TOPIC_FAMILY,
                         "The program has port %u for IPv4 only, and so a client over IPv6 is 0.0.0.0 for it. "
                         "It should listen on [::] as well (nginx: listen [::]:%u).",
                         (unsigned) ntohs(w->port), (unsigned) ntohs(w->port));
}

/*
 * Sets the addresses that the program sees. Those of the message replace the socket's, because they may be from a
 * trusted proxy before the broker. Without any the kernel is asked. The local port is the one that the program listens on.
 */
static int accept_override(int fd, const WorkerSocket *w, const ClientInfo *info, IpAddress *ret_peer) {
        Override override = { .kind = OVERRIDE_CLIENT, .peer = info->peer, .local = info->local };
        IpAddress peer = {}, local = {};

        if (info->peer.sa.sa_family == AF_UNSPEC) {
                if (!accept_read_address(fd, real.getpeername, &peer) || !accept_read_address(fd, real.getsockname, &local))
                        return RECEIVE_SKIP;
                override.peer = peer;
                override.local = local;
        }

        accept_present(&override.peer, w);
        accept_present(&override.local, w);
        if (w->port != 0)
                address_set_port(&override.local, w->port);

        *ret_peer = override.peer;
        if (override.peer.sa.sa_family != AF_UNSPEC &&
            !(accept_is_same(&override.peer, &peer) && accept_is_same(&override.local, &local)))
                override_set_known(fd, info->cookie != 0 ? info->cookie : socket_cookie(fd), &override);
        return 0;
}

/* Makes @fd, which is consumed, what accept4(2) returns. Returns as receive_client() does. */
static int accept_complete(int fd, const WorkerSocket *w, const ClientInfo *info, int flags, IpAddress *ret_peer,
                           int *ret_fd) {
        _cleanup_close_ int client_fd = fd;
        int r;

        /* Without a comparison the server could answer a request that is another worker's. */
        if (info->is_unseen && !follow_compare_first(client_fd))
                return RECEIVE_SKIP;

        r = accept_apply_flags(client_fd, flags);
        if (r == 0)
                r = accept_override(client_fd, w, info, ret_peer);
        if (r != 0)
                return r;

        accept_set_options(client_fd, w->options);
        secure_begin(client_fd, info);

        *ret_fd = take_fd(&client_fd);
        return 0;
}

/* Receives the client of a connection, which is consumed. Returns as receive_client() does. */
static int accept_receive(int conn_fd, int *place, int fd, const WorkerSocket *w, int flags, IpAddress *ret_peer,
                          int *ret_fd) {
        _cleanup_close_ int conn = conn_fd;
        ClientInfo info;
        int client_fd = -EBADF, r;

        r = receive_client(&conn, place, fd, w, flags, &info, &client_fd);
        if (r == 0 && conn >= 0 && info.may_persist && kept_begin(conn, fd, w))
                (void) take_fd(&conn);
        return r != 0 ? r : accept_complete(client_fd, w, &info, flags, ret_peer, ret_fd);
}

/* Takes a client from a kept connection. Returns 0, RECEIVE_…, or a negative errno; -EAGAIN: there is none. */
static int accept_kept(const WorkerSocket *w, int flags, IpAddress *ret_peer, int *ret_fd) {
        ClientInfo info;
        int client_fd = -EBADF, r;

        r = kept_accept(w, flags, &info, &client_fd);
        return r != 0 ? r : accept_complete(client_fd, w, &info, flags, ret_peer, ret_fd);
}

/* Returns true if the program has another listener for this client. A client of unknown family stays here. */
static bool accept_is_misplaced(int conn_fd, int fd, const WorkerSocket *w) {
        sa_family_t family = w->sender_fd > 0 ? receive_family(conn_fd, fd) : AF_UNSPEC;

        return is_ip(family) && family != w->family;
}

static int accept_next(int fd, const WorkerSocket *w) {
        int conn_fd;

        if (w->is_pair)
                return family_receive(fd);

        conn_fd = real.accept4(fd, NULL, NULL, SOCK_CLOEXEC);
        return conn_fd < 0 ? -errno : conn_fd;
}

/* Takes one connection. Returns 0 and the client, RECEIVE_…, ACCEPT_MOVED, or a negative errno. */
static int accept_connection(int fd, const WorkerSocket *w, int flags, IpAddress *ret_peer, int *ret_fd) {
        /* Reserves a number for the client while the connection has one too. Otherwise the client could be lost. */
        _cleanup_close_ int place = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        int conn_fd;

        if (place < 0)
                return -errno;
        conn_fd = accept_next(fd, w);
        if (conn_fd < 0)
                return conn_fd;

        /* The program has begun to listen meanwhile. The broker sends the client again, because none was received. */
        if (inherited_is_spare(fd, w)) {
                close_at(&conn_fd);
                return RECEIVE_SKIP;
        }

        if (!accept_is_trusted(conn_fd, w)) {
                close_at(&conn_fd);
                log_once(TOPIC_SENDER, "A sender on %s is neither root nor one that the socket's mode speaks for: "
                                       "it needs SocketUser=fdpass and SocketMode=0600.", w->name.sun_path);
                return RECEIVE_SKIP;
        }

        if (accept_is_misplaced(conn_fd, fd, w) && family_send(conn_fd, w) > 0)
                return ACCEPT_MOVED;

        return accept_receive(conn_fd, &place, fd, w, flags, ret_peer, ret_fd);
}

/* Takes a client from where the last one came from, but from each of both at times. Returns as accept_connection() does. */
static int accept_once(int fd, const WorkerSocket *w, int flags, IpAddress *ret_peer, int *ret_fd) {
        bool is_first = !kept_is_other_turn();
        int r = is_first ? accept_kept(w, flags, ret_peer, ret_fd) : -EAGAIN;

        if (r == -EAGAIN)
                r = accept_connection(fd, w, flags, ret_peer, ret_fd);
        if (r == -EAGAIN && !is_first)
                r = accept_kept(w, flags, ret_peer, ret_fd);

        return r;
}

int accept_client(int fd, const WorkerSocket *w, int flags, IpAddress *ret_peer) {
        for (int i = 0; i < SKIPS_MAX; i++) {
                int client_fd = -EBADF, r;

                if (inherited_is_spare(fd, w))
                        return inherited_refuse(fd, w);

                r = accept_once(fd, w, flags, ret_peer, &client_fd);
                if (r == 0)
                        inherited_note_client();
                if (r <= 0)
                        return r < 0 ? r : client_fd;

                /* One wait for a message is enough for one call. */
                if (r == RECEIVE_SILENT)
                        break;

                /* git daemon, for example, calls poll() and accept() on a blocking socket. It must not block here. */
                if (r == ACCEPT_MOVED && !is_nonblocking(fd))
                        break;
        }

        /* Programs call accept() again after this error, which is that of a client that is gone (accept(2)). */
        return -ECONNABORTED;
}
