/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "libfdpass/accept-conn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>

#include "basic/fd.h"
#include "basic/time.h"
#include "handoff/handoff.h"

/*
 * How long an accepted connection may be without its message, where the caller's socket blocks and where it does not.
 * Giving up too early loses no client, because the broker keeps it: the connection ends with the message unread.
 */
#define ACCEPT_WAIT_BLOCKING_USEC (1 * USEC_PER_SEC)
#define ACCEPT_WAIT_USEC (10 * USEC_PER_MSEC)

void accept_conn_done(AcceptConn *c) {
        if (c->fd >= 0 && c->is_received)
                object_end_connection(c->fd, c->is_callers, c->answer);
        else if (!c->is_callers)
                fd_close(c->fd);
}

/*
 * Reserves a descriptor for the client while it accepts: if there is no room for both, nothing is taken. A blocking
 * socket waits in here, because accept(2) wakes one of several processes and poll(2) would wake all.
 */
static int accept_conn_new(int listener_fd) {
        _cleanup_close_ int reserved_fd = -EBADF;
        int fd;

        reserved_fd = fcntl(listener_fd, F_DUPFD_CLOEXEC, 0);
        if (reserved_fd < 0)
                return -errno;

        fd = accept4(listener_fd, NULL, NULL, SOCK_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

int accept_conn_open(AcceptConn *c, int fd) {
        int family = fd_option(fd, SO_DOMAIN), is_listening = fd_option(fd, SO_ACCEPTCONN), flags, r;

        c->type = fd_option(fd, SO_TYPE);
        if (family < 0 || c->type < 0 || is_listening < 0)
                return family < 0 ? family : c->type < 0 ? c->type : is_listening;
        if (family != AF_UNIX || (c->type != SOCK_STREAM && c->type != SOCK_SEQPACKET))
                return -EOPNOTSUPP;

        flags = fcntl(fd, F_GETFL);
        if (flags < 0)
                return -errno;

        c->is_blocking = !(flags & O_NONBLOCK);
        c->is_callers = !is_listening;
        if (!is_listening) {
                c->fd = fd;
                return handoff_check_room(fd);
        }

        r = accept_conn_new(fd);
        if (r < 0)
                return r;

        c->fd = r;
        return 0;
}

/* A signal doesn't end the wait, because the caller would lose the connection. */
static int accept_conn_wait(int fd, usec_t deadline) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        int n;

        do {
                usec_t now = usec_now();

                if (now >= deadline)
                        return -ETIMEDOUT;

                n = poll(&p, 1, (int) ((deadline - now + USEC_PER_MSEC - 1) / USEC_PER_MSEC));
        } while (n == 0 || (n < 0 && errno == EINTR));

        return n < 0 ? -errno : 0;
}

/* Tries without a wait first, because the broker sends the message right behind its connect(2). */
static int accept_conn_try(const AcceptConn *c, uint8_t *p, size_t size, size_t *ret_n, int *ret_client_fd) {
        int r;

        r = handoff_receive_message(c->fd, MSG_DONTWAIT, p, size, ret_n, ret_client_fd);
        if (r != -EAGAIN || (c->is_callers && !c->is_blocking))
                return r;

        r = accept_conn_wait(c->fd, usec_now() + (c->is_blocking ? ACCEPT_WAIT_BLOCKING_USEC : ACCEPT_WAIT_USEC));
        if (r < 0)
                return r;

        return handoff_receive_message(c->fd, MSG_DONTWAIT, p, size, ret_n, ret_client_fd);
}

int accept_conn_receive(AcceptConn *c, struct fdpass *f, size_t size, size_t *ret_n, int *ret_client_fd) {
        int r;

        r = accept_conn_try(c, f->bytes, size, ret_n, ret_client_fd);
        switch (r) {

        case 0:
                c->is_received = true;
                return 0;

        case HANDOFF_NO_FD:
                c->is_received = true;
                c->answer = FDPASS_ANSWER_REFUSED;
                return -ECONNABORTED;

        case HANDOFF_INVALID:
                c->is_received = true;
                c->answer = FDPASS_ANSWER_ERROR;
                return -EPROTO;

        case HANDOFF_CLOSED:
        case -ECONNRESET:
                return c->is_callers ? -ENOTCONN : -ECONNABORTED;

        case -ETIMEDOUT:
                return -ECONNABORTED;

        default:
                return r;
        }
}
