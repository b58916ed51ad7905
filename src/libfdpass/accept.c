/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpass_accept(): from the socket that systemd passed to the client and what was told of it. */

#include <fcntl.h>
#include <poll.h>

#include "basic/error.h"
#include "basic/fd.h"
#include "basic/time.h"
#include "handoff/handoff.h"
#include "libfdpass/object.h"

/*
 * How long a connection may be without its message. Whoever gives up too early loses nothing: closing the
 * connection tells the broker that it still has the client.
 */
#define WAIT_BLOCKING_USEC (1 * USEC_PER_SEC)
#define WAIT_USEC (10 * USEC_PER_MSEC)

#define STREAM_SIZE 2 /* one more than the message has, to see what is too long */
#define STRINGS_MAX (4 * (FDPASS_TEXT_MAX + 1))

/* Where the next message comes from. */
typedef struct Source {
        int type;
        int fd;            /* the connection, or the datagram socket */
        bool is_theirs;    /* it is the caller's */
        bool is_blocking;  /* the caller's socket is */
} Source;

static int socket_option(int fd, int option, int *ret) {
        socklen_t length = sizeof(*ret);

        return getsockopt(fd, SOL_SOCKET, option, ret, &length) < 0 ? -errno : 0;
}

static void source_close(Source *s) {
        if (!s->is_theirs)
                fd_close(s->fd);
}

/* Keeps a place for the client while it accepts, so that both descriptors find room or nothing is taken. */
static int accept_connection(int listener_fd, bool is_blocking) {
        struct pollfd p = { .fd = listener_fd, .events = POLLIN };
        _cleanup_close_ int place = -EBADF;
        int fd;

        /* Waiting without the place: a child that another thread forks meanwhile would inherit it. */
        if (is_blocking && poll(&p, 1, -1) < 0)
                return -errno;

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
        if (family != AF_UNIX)
                return -EOPNOTSUPP;

        flags = fcntl(fd, F_GETFL);
        if (flags < 0)
                return -errno;

        s->is_blocking = !(flags & O_NONBLOCK);
        s->is_theirs = !listens;
        s->fd = listens ? accept_connection(fd, s->is_blocking) : fd;
        if (s->fd < 0)
                return s->fd;

        /* An accepted connection has its place already. */
        return listens ? 0 : handoff_check_room(fd);
}

/* 0 where there is something to read. */
static int wait_for_message(int fd, usec_t deadline) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        int n;

        do {
                usec_t now = usec_now();

                if (now >= deadline)
                        return -ETIMEDOUT;

                /* Rounded up. A signal doesn't end the wait: the connection would be lost to the caller. */
                n = poll(&p, 1, (int) ((deadline - now + USEC_PER_MSEC - 1) / USEC_PER_MSEC));
        } while (n == 0 || (n < 0 && errno == EINTR));

        return n < 0 ? -errno : 0;
}

static int receive(const Source *s, uint8_t *p, size_t size, size_t *ret_n, int *ret_client_fd) {
        usec_t wait = s->is_blocking ? WAIT_BLOCKING_USEC : WAIT_USEC;
        int r;

        if (s->type == SOCK_DGRAM) /* it blocks or not, as the caller set it */
                return handoff_receive_message(s->fd, 0, p, size, ret_n, ret_client_fd);

        /* Mostly it is there already. */
        r = handoff_receive_message(s->fd, MSG_DONTWAIT, p, size, ret_n, ret_client_fd);
        if (r != -EAGAIN || (s->is_theirs && !s->is_blocking))
                return r;

        r = wait_for_message(s->fd, usec_now() + wait);
        if (r < 0)
                return r;

        return handoff_receive_message(s->fd, MSG_DONTWAIT, p, size, ret_n, ret_client_fd);
}

static size_t message_size_max(const Source *s) {
        return s->type == SOCK_STREAM ? STREAM_SIZE : FDPASS_MESSAGE_MAX;
}

static struct fdpass *object_new(const Source *s) {
        struct fdpass *f = malloc(sizeof(*f) + message_size_max(s) + STRINGS_MAX);

        if (!f)
                return NULL;

        *f = (struct fdpass){
                .answer = s->type == SOCK_DGRAM ? ANSWER_IMPOSSIBLE : ANSWER_GIVEN,
                .conn_fd = -EBADF,
                .message = MESSAGE_NULL,
        };
        return f;
}

/* Gives back what a message of @n bytes doesn't need. Before anything points into it. */
static struct fdpass *object_shrink(struct fdpass *f, size_t n) {
        struct fdpass *shrunk = realloc(f, sizeof(*f) + n + STRINGS_MAX);

        return shrunk ?: f;
}

/* Reads the message into the object. The answer where it is wrong is *ret_answer. */
static int object_decode(struct fdpass *f, const Source *s, size_t n, uint8_t *ret_answer) {
        *ret_answer = FDPASS_ANSWER_ERROR;

        if (n == 1 && f->bytes[0] == 0x00)
                return 0;
        if (s->type == SOCK_STREAM)
                return -EPROTO;

        switch (message_decode(f->bytes, n, &f->message)) {

        case 0:
                return 0;

        case MESSAGE_VERSION:
                *ret_answer = FDPASS_ANSWER_REFUSED; /* another worker may be newer */
                return -EPROTONOSUPPORT;

        default:
                return -EPROTO;
        }
}

static const char *add_string(char **p, Slice s) {
        char *string = *p;

        if (s.n == 0)
                return NULL;

        memcpy(string, s.p, s.n);
        string[s.n] = 0;
        *p += s.n + 1;
        return string;
}

/* Completes the object from what the message says, and the client's own socket where it says nothing. */
static void object_complete(struct fdpass *f, size_t n, int client_fd) {
        char *strings = (char *) f->bytes + n;
        Message *m = &f->message;

        f->authority = add_string(&strings, m->authority);
        f->protocol = add_string(&strings, m->protocol);
        f->route = add_string(&strings, m->route);
        f->listener = add_string(&strings, m->listener);

        f->peer_length = message_address_length(&m->source);
        f->local_length = message_address_length(&m->destination);
        if (f->peer_length > 0) {
                memcpy(&f->peer, &m->source, f->peer_length);
                memcpy(&f->local, &m->destination, f->local_length);
                return;
        }

        /* A client that is gone already has no addresses any more. */
        f->peer_length = f->local_length = sizeof(f->peer);
        if (getpeername(client_fd, (struct sockaddr *) &f->peer, &f->peer_length) < 0)
                f->peer_length = 0;
        if (getsockname(client_fd, (struct sockaddr *) &f->local, &f->local_length) < 0)
                f->local_length = 0;
}

/* Nothing was received, or nothing that can be told from it. */
static int explain_failure(const Source *s, int r) {
        switch (r) {

        case HANDOFF_NO_FD:
                connection_finish(s->fd, s->is_theirs, FDPASS_ANSWER_REFUSED);
                return -ECONNABORTED;

        case HANDOFF_CLOSED:
        case -ECONNRESET:
                if (s->type == SOCK_DGRAM)
                        return -EPROTO; /* a message of no bytes */
                source_close(&(Source){ .fd = s->fd, .is_theirs = s->is_theirs });
                return s->is_theirs ? -ENOTCONN : -ECONNABORTED;

        case -ETIMEDOUT:
                source_close(&(Source){ .fd = s->fd, .is_theirs = s->is_theirs });
                return -ECONNABORTED;
        }
        return r;
}
