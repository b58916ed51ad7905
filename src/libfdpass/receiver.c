/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpass_receive(): as fdpass_accept(), but the broker's connections are kept for further clients. */

#include <sys/epoll.h>

#include "basic/error.h"
#include "basic/fd.h"
#include "handoff/handoff.h"
#include "libfdpass/accept.h"
#include "libfdpass/kept.h"
#include "libfdpass/object.h"

/* Several brokers may be there (shards), and one that is out of credit comes by another connection. */
#define KEPT_MAX 8

/* Of what the kernel's numbers allow (protocol.h) this is far below, and more than a queue of a socket takes. */
#define CREDITS_MAX 256

/* A connection that always has something does not keep the others out. */
#define STREAK_MAX 16

struct fdpass_receiver {
        int fd;                        /* the caller's */
        int epoll_fd;
        uint16_t n_credits;
        Kept *kept[KEPT_MAX];
        Kept *last;                    /* the one that the last message came from: likely to have the next */
        unsigned streak;

        /* One message, until all its clients are given out. */
        Kept *kept_now;                /* where it came from, one reference. NULL: there is none */
        bool is_answered;
        uint16_t first;                /* number of its first client */
        size_t n_clients, n_given;
        int client_fds[FDPASS_KEEP_MAX];
        struct fdpass *objects[FDPASS_KEEP_MAX];

        uint8_t buffer[FDPASS_HEADER_MAX];
};

_public_ int fdpass_receiver_new(int fd, unsigned credits, struct fdpass_receiver **ret) {
        struct epoll_event event = { .events = EPOLLIN };
        struct fdpass_receiver *r;
        int error;

        if (credits > CREDITS_MAX)
                return -EINVAL;

        r = malloc(sizeof(*r));
        if (!r)
                return -ENOMEM;
        memset(r, 0, offsetof(struct fdpass_receiver, buffer));

        error = fd_nonblock(fd, true);
        if (error < 0) {
                free(r);
                return error;
        }

        r->fd = fd;
        r->n_credits = (uint16_t) credits;
        r->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (r->epoll_fd >= 0 && epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, fd, &event) >= 0) {
                *ret = r;
                return 0;
        }

        error = -errno;
        fdpass_receiver_free(r);
        return error;
}

static void forget_message(struct fdpass_receiver *r) {
        for (size_t i = r->n_given; i < r->n_clients; i++) {
                fd_close_socket(r->client_fds[i]);
                fdpass_free(r->objects[i]);
        }

        r->kept_now = kept_unref(r->kept_now);
        r->n_clients = r->n_given = 0;
}

static void end_kept(struct fdpass_receiver *r, Kept *k) {
        for (size_t i = 0; i < KEPT_MAX; i++)
                if (r->kept[i] == k)
                        r->kept[i] = NULL;
        if (r->last == k)
                r->last = NULL;

        /* Somebody with an answer to give may keep the descriptor open. */
        (void) epoll_ctl(r->epoll_fd, EPOLL_CTL_DEL, k->fd, NULL);
        kept_end(k);
}

_public_ void fdpass_receiver_free(struct fdpass_receiver *r) {
        if (!r)
                return;

        forget_message(r);
        for (size_t i = 0; i < KEPT_MAX; i++)
                if (r->kept[i])
                        end_kept(r, r->kept[i]);

        fd_close(r->epoll_fd);
        free(r);
}

_public_ int fdpass_receiver_fd(const struct fdpass_receiver *r) {
        return r->epoll_fd;
}

/* NULL where it can't be kept. @fd is consumed on success. */
static Kept *add_kept(struct fdpass_receiver *r, int fd, uid_t sender) {
        for (size_t i = 0; i < KEPT_MAX && r->n_credits > 0; i++) {
                Kept *k;

                if (r->kept[i])
                        continue;

                k = kept_new(fd, sender, r->n_credits);
                if (!k)
                        return NULL;

                struct epoll_event event = { .events = EPOLLIN | EPOLLRDHUP, .data.ptr = k };

                if (epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
                        k->fd = -EBADF; /* still the caller's */
                        return kept_unref(k);
                }

                k->n_received = 1;
                return r->kept[i] = k;
        }

        return NULL;
}

/* From the listening socket, on a connection that may become one that is kept. */
static int accept_one(struct fdpass_receiver *r, int flags, struct fdpass **ret) {
        struct fdpass *f = NULL;
        int conn_fd = -EBADF, client_fd;
        Kept *k;

        client_fd = accept_client(r->fd, flags, /* caller_reads= */ !!ret, &f, &conn_fd);
        if (client_fd < 0)
                return client_fd;

        k = conn_fd >= 0 ? add_kept(r, conn_fd, f->sender) : NULL;

        if (flags & FDPASS_DEFER && k) {
                f->kept = kept_ref(k);
                f->number = 0;
                f->answer = ANSWER_OPEN;
        } else if (flags & FDPASS_DEFER && conn_fd >= 0) {
                f->conn_fd = conn_fd;
                f->answer = ANSWER_OPEN;
        } else if (k)
                kept_answer(k, FDPASS_ANSWER_TAKEN, 0, 1);
        else
                fd_close(conn_fd);

        if (ret)
                *ret = f;
        else
                fdpass_free(f);
        return client_fd;
}

static size_t count_headers(const uint8_t *p, size_t n) {
        size_t count = 0, length;

        for (; (length = message_header_length(p, n)) > 0; count++) {
                p += length;
                n -= length;
        }

        return count;
}

/* One client of a message: what is told of it in a header of @n bytes. Returns 0, a condition or a negative errno. */
static int make_object(const uint8_t *p, size_t n, int client_fd, uid_t sender, struct fdpass **ret) {
        _cleanup_(fdpass_freep) struct fdpass *f = object_new(n);
        int r;

        if (!f)
                return -ENOMEM;

        memcpy(f->bytes, p, n);
        r = message_decode(f->bytes, n, &f->message);
        if (r != 0)
                return r;

        r = handoff_check_client(client_fd, /* with_unix= */ false);
        if (r != 0)
                return r;

        object_complete(f, n, client_fd);
        f->sender = sender;
        *ret = TAKE_PTR(f);
        return 0;
}

/* Returns 0, a condition or a negative errno; then all of the message is still to be answered. */
static int open_message(struct fdpass_receiver *r, Kept *k, size_t n) {
        size_t at = 0;

        for (size_t i = 0; i < r->n_clients; i++) {
                size_t length = message_header_length(r->buffer + at, n - at);
                int e;

                if (length == 0)
                        return MESSAGE_INVALID;

                e = make_object(r->buffer + at, length, r->client_fds[i], k->sender, &r->objects[i]);
                if (e != 0)
                        return e;

                at += length;
        }

        return at == n ? 0 : MESSAGE_INVALID;
}

/* What is wrong with one client is wrong with the sender: the answer is for the whole message. */
static int reject(struct fdpass_receiver *r, Kept *k, size_t n_clients, int condition) {
        bool is_ours = condition < 0 || condition == HANDOFF_NO_FD;

        forget_message(r);
        kept_answer(k, is_ours ? FDPASS_ANSWER_REFUSED : FDPASS_ANSWER_ERROR, k->n_received, (uint16_t) n_clients);
        k->n_received = (uint16_t) (k->n_received + n_clients);

        if (is_ours)
                return condition < 0 ? condition : -ECONNABORTED;

        end_kept(r, k);
        return -EPROTO;
}

/* Takes one message off a kept connection. -EAGAIN: there is none, or it has ended. */
static int receive_message(struct fdpass_receiver *r, Kept *k) {
        size_t n, n_fds = FDPASS_KEEP_MAX;
        int e;

        e = handoff_receive_batch(k->fd, MSG_DONTWAIT, r->buffer, sizeof(r->buffer), &n, r->client_fds, &n_fds);
        if (e == -EAGAIN || e == -EINTR)
                return -EAGAIN;
        if (e == HANDOFF_CLOSED || e < 0) {
                end_kept(r, k);
                return -EAGAIN;
        }
        if (e == HANDOFF_NO_FD)
                return reject(r, k, count_headers(r->buffer, n), e);
        if (e != 0)
                return reject(r, k, 0, e);

        r->n_clients = n_fds;
        r->n_given = 0;
        memset(r->objects, 0, sizeof(r->objects));

        e = open_message(r, k, n);
        if (e != 0)
                return reject(r, k, n_fds, e);

        r->kept_now = kept_ref(k);
        r->is_answered = false;
        r->first = k->n_received;
        k->n_received = (uint16_t) (k->n_received + n_fds);
        return 0;
}

/* The next client of the message at hand. The first one that is given out without FDPASS_DEFER answers for the rest. */
static int give_next(struct fdpass_receiver *r, int flags, struct fdpass **ret) {
        size_t i = r->n_given++;
        int client_fd = r->client_fds[i], e;
        struct fdpass *f = r->objects[i];

        if (flags & FDPASS_DEFER && !r->is_answered) {
                f->answer = ANSWER_OPEN;
                f->kept = kept_ref(r->kept_now);
                f->number = (uint16_t) (r->first + i);
        } else if (!r->is_answered) {
                kept_answer(r->kept_now, FDPASS_ANSWER_TAKEN, (uint16_t) (r->first + i), (uint16_t) (r->n_clients - i));
                r->is_answered = true;
        }

        if (r->n_given == r->n_clients)
                forget_message(r);

        e = accept_set_flags(client_fd, flags);
        if (e < 0)
                fd_close_socket(client_fd);
        if (e >= 0 && ret)
                *ret = f;
        else
                fdpass_free(f);

        return e < 0 ? e : client_fd;
}

/* Whose turn it is: a kept connection, or NULL for the listening socket. */
static int wait_for_next(struct fdpass_receiver *r, bool wait, Kept **ret) {
        struct epoll_event event;
        int n;

        n = epoll_wait(r->epoll_fd, &event, 1, wait ? -1 : 0);
        if (n < 0)
                return -errno;
        if (n == 0)
                return -EAGAIN;

        *ret = event.data.ptr;
        return 0;
}

/* The connection that had the last message has the next one, most likely, and needs not be looked for. */
static bool try_last(struct fdpass_receiver *r, int *ret_error) {
        if (!r->last || ++r->streak > STREAK_MAX) {
                r->streak = 0;
                return false;
        }

        *ret_error = receive_message(r, r->last);
        return *ret_error != -EAGAIN;
}

_public_ int fdpass_receive(struct fdpass_receiver *r, int flags, struct fdpass **ret) {
        int e;

        e = accept_check_flags(flags & ~FDPASS_WAIT, ret);
        if (e < 0)
                return e;

        while (!r->kept_now) {
                Kept *k = NULL;

                if (try_last(r, &e)) {
                        if (e < 0)
                                return e;
                        break;
                }

                e = wait_for_next(r, flags & FDPASS_WAIT, &k);
                if (e < 0)
                        return e;
                if (!k) {
                        e = accept_one(r, flags, ret);
                        if (e == -EAGAIN && flags & FDPASS_WAIT)
                                continue; /* another process was faster */
                        return e;
                }

                r->last = k;
                e = receive_message(r, k);
                if (e < 0 && e != -EAGAIN)
                        return e;
        }

        return give_next(r, flags, ret);
}
