/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpass_accept(): from the socket that systemd passed to the client and what was told of it. */

#include <fcntl.h>
#include <poll.h>

#include "basic/error.h"
#include "basic/fd.h"
#include "basic/time.h"
#include "handoff/handoff.h"
#include "libfdpass/accept.h"
#include "libfdpass/object.h"

/*
 * How long an accepted connection may be without its message. Giving up too early loses nothing: closing the
 * connection tells the broker that it still has the client.
 */
#define WAIT_BLOCKING_USEC (1 * USEC_PER_SEC)
#define WAIT_USEC (10 * USEC_PER_MSEC)

#define STREAM_SIZE 2 /* one more than the message has, so that one that is too long is seen */

/* Where the next message comes from. */
typedef struct Source {
        int type;
        int fd;           /* the connection */
        bool is_theirs;   /* it is the caller's */
        bool is_blocking; /* the caller's socket is */
        bool is_received; /* the message was taken out of it */
        uint8_t answer;   /* FDPASS_ANSWER_…, or 0: only the end */
} Source;

/* A connection that is closed with its message unread says to the sender that the client is still its own. */
static void source_done(Source *s) {
        if (s->fd >= 0 && s->is_received)
                connection_finish(s->fd, s->is_theirs, s->answer);
        else if (!s->is_theirs)
                fd_close(s->fd);
}

static int socket_option(int fd, int option, int *ret) {
        socklen_t length = sizeof(*ret);

        return getsockopt(fd, SOL_SOCKET, option, ret, &length) < 0 ? -errno : 0;
}

/*
 * Keeps a place for the client while it accepts: there is room for both descriptors, or nothing is taken. Where the
 * socket is blocking this is what waits: of several processes that do accept(2) wakes one, and poll(2) wakes all.
 */
static int accept_connection(int listener_fd) {
        _cleanup_close_ int place = -EBADF;
        int fd;

        place = fcntl(listener_fd, F_DUPFD_CLOEXEC, 0);
        if (place < 0)
                return -errno;

        fd = accept4(listener_fd, NULL, NULL, SOCK_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

static int source_open(Source *s, int fd) {
        int family, listens, flags, r;

        r = socket_option(fd, SO_DOMAIN, &family);
        if (r >= 0)
                r = socket_option(fd, SO_TYPE, &s->type);
        if (r >= 0)
                r = socket_option(fd, SO_ACCEPTCONN, &listens);
        if (r < 0)
                return r;
        if (family != AF_UNIX || (s->type != SOCK_STREAM && s->type != SOCK_SEQPACKET))
                return -EOPNOTSUPP;

        flags = fcntl(fd, F_GETFL);
        if (flags < 0)
                return -errno;

        s->is_blocking = !(flags & O_NONBLOCK);
        s->is_theirs = !listens;

        if (!listens) {
                s->fd = fd;
                return handoff_check_room(fd);
        }

        r = accept_connection(fd);
        if (r < 0)
                return r;

        s->fd = r;
        return 0;
}

/* A signal doesn't end the wait: the connection would be lost to the caller. */
static int wait_for_message(int fd, usec_t deadline) {
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

static int receive(const Source *s, uint8_t *p, size_t size, size_t *ret_n, int *ret_client_fd) {
        int r;

        /* Mostly it is there already. */
        r = handoff_receive_message(s->fd, MSG_DONTWAIT, p, size, ret_n, ret_client_fd);
        if (r != -EAGAIN || (s->is_theirs && !s->is_blocking))
                return r;

        r = wait_for_message(s->fd, usec_now() + (s->is_blocking ? WAIT_BLOCKING_USEC : WAIT_USEC));
        if (r < 0)
                return r;

        return handoff_receive_message(s->fd, MSG_DONTWAIT, p, size, ret_n, ret_client_fd);
}

/* Receives, and makes an errno for the caller and an answer for the sender of what goes wrong. */
static int source_receive(Source *s, struct fdpass *f, size_t size, size_t *ret_n, int *ret_client_fd) {
        int r;

        r = receive(s, f->bytes, size, ret_n, ret_client_fd);
        switch (r) {

        case 0:
                s->is_received = true;
                return 0;

        case HANDOFF_NO_FD:
                s->is_received = true;
                s->answer = FDPASS_ANSWER_REFUSED;
                return -ECONNABORTED;

        case HANDOFF_INVALID:
                s->is_received = true;
                s->answer = FDPASS_ANSWER_ERROR;
                return -EPROTO;

        case HANDOFF_CLOSED:
                return s->is_theirs ? -ENOTCONN : -ECONNABORTED;

        case -ECONNRESET:
                return s->is_theirs ? -ENOTCONN : -ECONNABORTED;

        case -ETIMEDOUT:
                return -ECONNABORTED;

        default:
                return r;
        }
}

/* Is it what the protocol wants, and what the caller can use? */
static int check_message(Source *s, struct fdpass *f, size_t n, int client_fd, bool caller_reads) {
        int r = 0;

        s->answer = FDPASS_ANSWER_ERROR;

        if (n != 1 || f->bytes[0] != 0x00)
                r = s->type == SOCK_STREAM ? MESSAGE_INVALID : message_decode(f->bytes, n, &f->message);
        if (r == MESSAGE_VERSION) {
                s->answer = FDPASS_ANSWER_REFUSED; /* another worker may be newer */
                return -EPROTONOSUPPORT;
        }
        if (r != 0)
                return -EPROTO;

        r = handoff_check_client(client_fd, /* with_unix= */ true);
        if (r != 0)
                return r < 0 ? r : -EPROTO;

        /* The head of a request that is being answered already may be left unread: the body is what is missing. */
        if (f->message.consumed.n > f->message.head_length && !caller_reads)
                return -EMSGSIZE;

        return 0;
}

int accept_set_flags(int client_fd, int flags) {
        int r;

        r = fd_nonblock(client_fd, flags & SOCK_NONBLOCK);
        if (r < 0)
                return r;

        return flags & SOCK_CLOEXEC || fcntl(client_fd, F_SETFD, 0) >= 0 ? 0 : -errno;
}

int accept_check_flags(int flags, struct fdpass **ret) {
        if (flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK | FDPASS_DEFER | FDPASS_ANY_SENDER))
                return -EINVAL;

        return flags & FDPASS_DEFER && !ret ? -EINVAL : 0;
}

/* Leaves the connection to the object, for an answer later. */
static void object_keep(struct fdpass *f, Source *s) {
        f->answer = ANSWER_OPEN;
        f->conn_is_theirs = s->is_theirs;
        f->conn_fd = TAKE_FD(s->fd);
}

int accept_client(int fd, int flags, bool caller_reads, struct fdpass **ret, int *ret_conn_fd) {
        _cleanup_(source_done) Source s = { .fd = -EBADF };
        _cleanup_(fdpass_freep) struct fdpass *f = NULL;
        _cleanup_close_socket_ int client_fd = -EBADF; /* closed before source_done() says that we have none */
        uid_t sender;
        size_t size, n;
        int r;

        r = source_open(&s, fd);
        if (r < 0)
                return r;

        r = sender_check(s.fd, &sender);
        if (r < 0 && !(r == -EPERM && flags & FDPASS_ANY_SENDER))
                return r;

        size = s.type == SOCK_STREAM ? STREAM_SIZE : FDPASS_MESSAGE_MAX;
        f = object_new(size);
        if (!f)
                return -ENOMEM;

        r = source_receive(&s, f, size, &n, &client_fd);
        if (r < 0)
                return r;

        f = object_shrink(f, n);
        r = check_message(&s, f, n, client_fd, caller_reads);
        if (r < 0)
                return r;

        s.answer = FDPASS_ANSWER_REFUSED; /* should this fail, another worker may have it */
        r = accept_set_flags(client_fd, flags);
        if (r < 0)
                return r;

        s.answer = 0;
        if (ret_conn_fd && f->message.keep > 0 && s.type == SOCK_SEQPACKET && !s.is_theirs)
                *ret_conn_fd = TAKE_FD(s.fd);

        if (ret) {
                object_complete(f, n, client_fd);
                f->sender = sender;
                if (flags & FDPASS_DEFER && s.fd >= 0)
                        object_keep(f, &s);
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
