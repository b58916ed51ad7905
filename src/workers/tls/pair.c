/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "workers/tls/pair.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>

#include "basic/fd.h"
#include "basic/time.h"

/* Number of addresses from 127.0.1.0 on that our ends have in turn. */
#define PAIR_ADDRESSES 65536

/* Time for a connection, in ms. Over the loopback it stands at once, unless others fill the backlog. */
#define PAIR_WAIT_MSEC 100

/* Foreign connections that are closed for one pair. Only without PrivateNetwork=yes there are any. */
#define PAIR_FOREIGN_MAX 64

int pair_maker_init(PairMaker *m) {
        struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        _cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

        if (fd < 0 || bind(fd, (struct sockaddr *) &sa, sizeof(sa)) < 0 || listen(fd, SOMAXCONN) < 0 ||
            getsockname(fd, (struct sockaddr *) &sa, &(socklen_t){ sizeof(sa) }) < 0)
                return -errno;

        m->port = sa.sin_port;
        m->listen_fd = TAKE_FD(fd);
        return 0;
}

void pair_maker_done(PairMaker *m) {
        m->listen_fd = fd_close(m->listen_fd);
}

static int pair_wait(int fd, short events) {
        struct pollfd poll_fd = { .fd = fd, .events = events };
        int r = poll(&poll_fd, 1, PAIR_WAIT_MSEC);

        return r < 0 ? -errno : r == 0 ? -ETIMEDOUT : 0;
}

/*
 * Binds our end to the next address. The end that closes first keeps its addresses for a minute (TIME_WAIT), and one
 * address has 28,000 ports. The port is chosen by connect(2).
 */
static int pair_bind(PairMaker *m, int fd) {
        struct sockaddr_in sa = {
                .sin_family = AF_INET,
                .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 0xff + m->n++ % PAIR_ADDRESSES),
        };

        if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &(int){ 1 }, sizeof(int)) < 0 ||
            bind(fd, (struct sockaddr *) &sa, sizeof(sa)) < 0)
                return -errno;

        return 0;
}

static int pair_connect(PairMaker *m, int fd) {
        struct sockaddr_in sa = {
                .sin_family = AF_INET,
                .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                .sin_port = m->port,
        };
        int r;

        r = pair_bind(m, fd);
        if (r < 0 || connect(fd, (struct sockaddr *) &sa, sizeof(sa)) >= 0)
                return r;
        if (errno != EINPROGRESS)
                return -errno;

        r = pair_wait(fd, POLLOUT);
        if (r < 0)
                return r;

        r = fd_option(fd, SO_ERROR);
        return r > 0 ? -r : r;
}

/* Accepts the connection of @own_fd, and closes others. Returns an owned descriptor or a negative errno. */
static int pair_accept(PairMaker *m, int own_fd) {
        struct sockaddr_in own = {};

        if (getsockname(own_fd, (struct sockaddr *) &own, &(socklen_t){ sizeof(own) }) < 0)
                return -errno;

        for (unsigned i = 0; i < PAIR_FOREIGN_MAX; i++) {
                _cleanup_close_ int fd = -EBADF;
                struct sockaddr_in peer = {};
                int r = pair_wait(m->listen_fd, POLLIN);

                if (r < 0)
                        return r;

                fd = accept4(m->listen_fd, (struct sockaddr *) &peer, &(socklen_t){ sizeof(peer) }, SOCK_CLOEXEC);
                if (fd < 0 && errno != EAGAIN && errno != ECONNABORTED)
                        return -errno;
                if (fd >= 0 && peer.sin_port == own.sin_port && peer.sin_addr.s_addr == own.sin_addr.s_addr)
                        return TAKE_FD(fd);
        }

        return -EBUSY;
}

int pair_make(PairMaker *m, int *ret_own, int *ret_worker) {
        _cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        int r;

        if (fd < 0)
                return -errno;

        (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
        r = pair_connect(m, fd);
        if (r < 0)
                return r;

        r = pair_accept(m, fd);
        if (r < 0)
                return r;

        *ret_worker = r;
        *ret_own = TAKE_FD(fd);
        return 0;
}
