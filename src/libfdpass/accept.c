/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpass_accept(): from the socket that systemd passed to the client and the facts about it. */

#include "libfdpass/accept.h"

#include <fcntl.h>

#include "basic/fd.h"
#include "handoff/handoff.h"
#include "libfdpass/accept-conn.h"
#include "libfdpass/return-conn.h"
#include "libfdpass/sender.h"

/* Bytes to receive in the stream form: one more than the message has, to notice a message that is too long. */
#define ACCEPT_STREAM_SIZE 2

/* Decodes the message, and checks that it has the protocol's form and that the caller can use it. */
static int accept_check_message(AcceptConn *c, struct fdpass *f, size_t n, int client_fd, bool caller_reads) {
        int r = 0;

        c->answer = FDPASS_ANSWER_ERROR;

        if (n != 1 || f->bytes[0] != FDPASS_STREAM_BYTE)
                r = c->type == SOCK_STREAM ? MESSAGE_INVALID : message_decode(f->bytes, n, &f->message);
        if (r == MESSAGE_VERSION) {
                c->answer = FDPASS_ANSWER_REFUSED; /* another worker may know this version */
                return -EPROTONOSUPPORT;
        }
        if (r != 0)
                return -EPROTO;

        r = handoff_check_client(client_fd, /* with_unix= */ true);
        if (r != 0)
                return r < 0 ? r : -EPROTO;

        /* The head of a request that a flusher has answered may stay unread. Bytes of a body may not. */
        if (f->message.consumed.n > f->message.head_length && !caller_reads)
                return -EMSGSIZE;

        return 0;
}

int accept_set_flags(int client_fd, int flags) {
        /* The sender may have set other flags, such as O_ASYNC. accept4(2) sets none. */
        if (fcntl(client_fd, F_SETFL, flags & SOCK_NONBLOCK ? O_NONBLOCK : 0) < 0)
                return -errno;

        return flags & SOCK_CLOEXEC || fcntl(client_fd, F_SETFD, 0) >= 0 ? 0 : -errno;
}

int accept_check_flags(int flags, struct fdpass **ret) {
        if (flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK | FDPASS_DEFER | FDPASS_ANY_SENDER))
                return -EINVAL;

        return flags & FDPASS_DEFER && !ret ? -EINVAL : 0;
}

/* Moves the connection into the object, for an answer later. */
static void accept_defer(AcceptConn *c, struct fdpass *f) {
        f->answer = ANSWER_DUE;
        f->conn_is_callers = c->is_callers;
        f->conn_fd = TAKE_FD(c->fd);
}

/* Makes an object of the message on @c. After an error the caller owns nothing. */
static int accept_take(AcceptConn *c, bool caller_reads, struct fdpass **ret, size_t *ret_n, int *ret_client_fd) {
        size_t size = c->type == SOCK_STREAM ? ACCEPT_STREAM_SIZE : FDPASS_MESSAGE_MAX;
        _cleanup_(fdpass_freep) struct fdpass *f = object_new(size);
        _cleanup_close_socket_ int client_fd = -EBADF;
        int r;

        if (!f)
                return -ENOMEM;

        r = accept_conn_receive(c, f, size, ret_n, &client_fd);
        if (r < 0)
                return r;

        f = object_shrink(f, *ret_n);
        r = accept_check_message(c, f, *ret_n, client_fd, caller_reads);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(f);
        *ret_client_fd = TAKE_FD(client_fd);
        return 0;
}

/* A connection is for handing back if there is none for that yet, and otherwise may become persistent. */
static void accept_keep(AcceptConn *c, const struct fdpass *f, bool may_hand_back, int *ret_conn_fd) {
        if (may_hand_back && return_conn_keep(c->fd, &f->message))
                return;
        if (ret_conn_fd && f->message.persistent_max > 0)
                *ret_conn_fd = TAKE_FD(c->fd);
}

int accept_client(int fd, int flags, bool caller_reads, struct fdpass **ret, int *ret_conn_fd) {
        _cleanup_(accept_conn_done) AcceptConn c = ACCEPT_CONN_NULL;
        _cleanup_(fdpass_freep) struct fdpass *f = NULL;
        _cleanup_close_socket_ int client_fd = -EBADF; /* closed before accept_conn_done() tells the sender so */
        uid_t sender;
        size_t n;
        int r;

        r = accept_conn_open(&c, fd);
        if (r < 0)
                return r;

        r = sender_check(c.fd, c.listener, &sender);
        if (r < 0 && !(r == -EPERM && flags & FDPASS_ANY_SENDER))
                return r;

        r = accept_take(&c, caller_reads, &f, &n, &client_fd);
        if (r < 0)
                return r;

        c.answer = FDPASS_ANSWER_REFUSED; /* if the next call fails, another worker may have the client */
        r = accept_set_flags(client_fd, flags);
        if (r < 0)
                return r;

        c.answer = 0;
        if (c.type == SOCK_SEQPACKET && !c.is_callers)
                accept_keep(&c, f, /* may_hand_back= */ ret && !(flags & FDPASS_DEFER), ret_conn_fd);

        if (ret) {
                object_complete(f, n, client_fd);
                f->sender = sender;
                if (flags & FDPASS_DEFER && c.fd >= 0)
                        accept_defer(&c, f);
                *ret = TAKE_PTR(f);
        }

        return TAKE_FD(client_fd);
}

_public_ int fdpass_accept(int fd, int flags, struct fdpass **ret) {
        int r;

        r = accept_check_flags(flags, ret);
        if (r < 0)
                return r;

        return accept_client(fd, flags, /* caller_reads= */ !!ret, ret, NULL);
}
