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
 * With @reserve a descriptor is held for the client meanwhile: if there is no room for both, nothing is taken. A blocking
 * socket waits in here, because accept(2) wakes one of several processes and poll(2) would wake all.
 */
static int accept_conn_new(int listener_fd, bool reserve) {
        _cleanup_close_ int reserved_fd = -EBADF;
        int fd;

        if (reserve) {
                reserved_fd = fcntl(listener_fd, F_DUPFD_CLOEXEC, 0);
                if (reserved_fd < 0)
                        return -errno;
        }

        fd = accept4(listener_fd, NULL, NULL, SOCK_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

/* If this is the connection that made descriptors scarce, the client has no reserved one. The connection ends unread then. */
static int accept_conn_take(AcceptConn *c, int listener_fd, bool is_known) {
        bool reserve = !is_known || listener_is_room_scarce();
        int r;

        r = accept_conn_new(listener_fd, reserve);
        listener_note_descriptor(r);
        if (r < 0)
                return r;

        c->fd = r;
        return reserve || !listener_is_room_scarce() ? 0 : handoff_check_room(c->fd);
}

/* Asks for what a socket is. Returns 1 for a listening one, 0 for a connection, or a negative errno. */
static int accept_conn_inspect(AcceptConn *c, int fd) {
        int family = fd_option(fd, SO_DOMAIN), is_listening = fd_option(fd, SO_ACCEPTCONN);

        c->type = fd_option(fd, SO_TYPE);
        if (family < 0 || c->type < 0 || is_listening < 0)
                return family < 0 ? family : c->type < 0 ? c->type : is_listening;
        if (family != AF_UNIX || (c->type != SOCK_STREAM && c->type != SOCK_SEQPACKET))
                return -EOPNOTSUPP;

        return is_listening > 0;
}

int accept_conn_open(AcceptConn *c, int fd) {
        int r;

        c->callers_fd = fd;
        c->listener = listener_find(fd);
        if (c->listener) {
                c->type = c->listener->type;
                return accept_conn_take(c, fd, /* is_known= */ true);
        }

        r = accept_conn_inspect(c, fd);
        if (r < 0)
                return r;

        c->is_callers = r == 0;
        if (c->is_callers) {
                c->fd = fd;
                return handoff_check_room(fd);
        }

        c->listener = listener_add(fd, c->type);
        return accept_conn_take(c, fd, /* is_known= */ false);
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
        int flags, r;

        r = handoff_receive_message(c->fd, MSG_DONTWAIT, p, size, ret_n, ret_client_fd);
        if (r != -EAGAIN)
                return r;

        flags = fcntl(c->callers_fd, F_GETFL);
        if (flags < 0)
                return -errno;
        if (c->is_callers && flags & O_NONBLOCK)
                return -EAGAIN;

        r = accept_conn_wait(c->fd, usec_now() + (!(flags & O_NONBLOCK) ? ACCEPT_WAIT_BLOCKING_USEC : ACCEPT_WAIT_USEC));
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
                listener_note_descriptor(-EMFILE);
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
