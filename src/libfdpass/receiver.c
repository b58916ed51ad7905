/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpass_receive(): fdpass_accept() over persistent connections. */

#include <sys/epoll.h>

#include "basic/error.h"
#include "basic/fd.h"
#include "handoff/handoff.h"
#include "libfdpass/accept.h"
#include "libfdpass/batch.h"
#include "libfdpass/object.h"
#include "libfdpass/return-conn.h"

/* Several brokers may send (shards), and a broker opens another connection when one is out of credit. */
#define RECEIVER_CONNS_MAX 8

/* Well below the protocol's limit (32767), and more than the send queue of a socket takes. */
#define RECEIVER_CREDITS_MAX 256

/* Messages in a row that are taken off one connection without a look at the others, so that none of them starves. */
#define RECEIVER_STREAK_MAX 16

/* Condition of receiver_fill(). */
enum {
        RECEIVER_ACCEPT = 1,
};

struct fdpass_receiver {
        int fd;                /* the worker's socket; the caller's */
        int epoll_fd;          /* watches @fd (data.ptr is NULL), @conns and the return connection; owned */
        uint64_t return_id;    /* return_conn_fd() of the one that is watched; 0: none */
        uint16_t n_credits;
        PersistentConn *conns[RECEIVER_CONNS_MAX]; /* one reference each; NULL: free */
        PersistentConn *last;  /* where the last message came from; no reference. NULL: unknown */
        unsigned streak;       /* messages in a row from @last */

        Batch batch;           /* clients that are given out next. The last member, because its buffer is not cleared */
};

_public_ int fdpass_receiver_new(int fd, unsigned credits, struct fdpass_receiver **ret) {
        struct epoll_event event = { .events = EPOLLIN };
        struct fdpass_receiver *r;
        int error;

        if (credits > RECEIVER_CREDITS_MAX)
                return -EINVAL;

        r = malloc(sizeof(*r));
        if (!r)
                return -ENOMEM;
        memset(r, 0, offsetof(struct fdpass_receiver, batch.buffer));

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

static void receiver_end(struct fdpass_receiver *r, PersistentConn *c) {
        for (size_t i = 0; i < RECEIVER_CONNS_MAX; i++)
                if (r->conns[i] == c)
                        r->conns[i] = NULL;
        if (r->last == c)
                r->last = NULL;

        /* An object with a due answer may keep the descriptor open, so close() might not end the watch (epoll(7)). */
        (void) epoll_ctl(r->epoll_fd, EPOLL_CTL_DEL, c->fd, NULL);
        persistent_end(c);
}

_public_ void fdpass_receiver_free(struct fdpass_receiver *r) {
        if (!r)
                return;

        batch_clear(&r->batch);
        for (size_t i = 0; i < RECEIVER_CONNS_MAX; i++)
                if (r->conns[i])
                        receiver_end(r, r->conns[i]);

        fd_close(r->epoll_fd);
        free(r);
}

_public_ int fdpass_receiver_fd(const struct fdpass_receiver *r) {
        return r->epoll_fd;
}

/* Makes @fd, on which one client came, persistent. Consumes @fd on success. Returns NULL if it can't be persistent. */
static PersistentConn *receiver_add(struct fdpass_receiver *r, int fd, uid_t sender) {
        struct epoll_event event = { .events = EPOLLIN | EPOLLRDHUP };
        PersistentConn *c;
        size_t i = 0;

        while (i < RECEIVER_CONNS_MAX && r->conns[i])
                i++;
        if (i == RECEIVER_CONNS_MAX || r->n_credits == 0)
                return NULL;

        c = persistent_new(fd, sender, r->n_credits);
        if (!c)
                return NULL;

        event.data.ptr = c;
        if (epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
                c->fd = -EBADF; /* still the caller's */
                return persistent_unref(c);
        }

        c->n_received = 1;
        return r->conns[i] = c;
}

/* Takes a client from the listening socket, on a connection that may become persistent. */
static int receiver_accept(struct fdpass_receiver *r, int flags, struct fdpass **ret) {
        struct fdpass *f = NULL;
        int conn_fd = -EBADF, client_fd;
        PersistentConn *c;

        client_fd = accept_client(r->fd, flags, /* caller_reads= */ !!ret, &f, &conn_fd);
        if (client_fd < 0)
                return client_fd;

        c = conn_fd >= 0 ? receiver_add(r, conn_fd, f->sender) : NULL;

        if (flags & FDPASS_DEFER && c) {
                f->persistent = persistent_ref(c);
                f->seq = 0;
                f->answer = ANSWER_DUE;
        } else if (flags & FDPASS_DEFER && conn_fd >= 0) {
                f->conn_fd = conn_fd;
                f->answer = ANSWER_DUE;
        } else if (c)
                persistent_answer(c, FDPASS_ANSWER_TAKEN, 0, 1);
        else
                fd_close(conn_fd);

        if (ret)
                *ret = f;
        else
                fdpass_free(f);
        return client_fd;
}

/* Fills the batch from @c. -EAGAIN: there is no message, or the connection has ended. */
static int receiver_take_batch(struct fdpass_receiver *r, PersistentConn *c) {
        int e = batch_receive(&r->batch, c);

        if (e == BATCH_CLOSED || e == BATCH_INVALID)
                receiver_end(r, c);

        return e == BATCH_CLOSED ? -EAGAIN : e == BATCH_INVALID ? -EPROTO : e;
}

/*
 * Watches the return connection of this process, on which the broker tells of drains. With EPOLLET, because the library
 * also reads it elsewhere.
 */
static void receiver_watch_return(struct fdpass_receiver *r) {
        struct epoll_event event = { .events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = r };
        uint64_t id;
        int fd = return_conn_fd(&id);

        if (fd >= 0 && id != r->return_id && epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, fd, &event) >= 0)
                r->return_id = id;
}

/* *ret is the connection that has a message, or NULL for the listening socket. Returns 0 or -errno. */
static int receiver_wait(struct fdpass_receiver *r, bool wait, PersistentConn **ret) {
        struct epoll_event event;
        int n;

        for (;;) {
                receiver_watch_return(r);
                n = epoll_wait(r->epoll_fd, &event, 1, wait ? -1 : 0);
                if (n < 0)
                        return -errno;
                if (n == 0)
                        return -EAGAIN;
                if (event.data.ptr != r)
                        break;
                return_conn_look();
        }

        *ret = event.data.ptr;
        return 0;
}

/* Tries the connection of the last message first, because it most likely has the next one: that saves epoll_wait(2). */
static int receiver_try_last(struct fdpass_receiver *r) {
        if (!r->last || ++r->streak > RECEIVER_STREAK_MAX) {
                r->streak = 0;
                return -EAGAIN;
        }

        return receiver_take_batch(r, r->last);
}

/*
 * Fills the batch. Returns 0; RECEIVER_ACCEPT if the listening socket is next; or -errno (-EAGAIN: no client, not
 * @wait).
 */
static int receiver_fill(struct fdpass_receiver *r, bool wait) {
        int e = receiver_try_last(r);

        while (e == -EAGAIN) {
                PersistentConn *c = NULL;

                e = receiver_wait(r, wait, &c);
                if (e < 0)
                        return e;
                if (!c)
                        return RECEIVER_ACCEPT;

                r->last = c;
                e = receiver_take_batch(r, c);
        }

        return e;
}

_public_ int fdpass_receive(struct fdpass_receiver *r, int flags, struct fdpass **ret) {
        bool wait = flags & FDPASS_WAIT;
        int e;

        e = accept_check_flags(flags & ~FDPASS_WAIT, ret);
        if (e < 0)
                return e;

        while (batch_is_empty(&r->batch)) {
                e = receiver_fill(r, wait);
                if (e == RECEIVER_ACCEPT) {
                        e = receiver_accept(r, flags, ret);
                        if (e != -EAGAIN || !wait)
                                return e;
                        /* Another process has accepted the connection. */
                } else if (e < 0)
                        return e;
        }

        return batch_give(&r->batch, flags, ret);
}
