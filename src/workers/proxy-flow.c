/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "workers/proxy-flow.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "basic/error.h"
#include "handoff/ktls.h"

/* Bytes that one flow moves in a turn. */
#define TURN_MAX ((size_t) 1024 * 1024)

/* Results of one read or write. */
enum {
        STEP_DONE,   /* go on with the next one */
        STEP_WAIT,   /* the socket has no room, or no bytes */
        STEP_END,    /* the source has ended */
        STEP_BROKEN, /* the source ended with an error */
};

static void flow_keep_rest(Flow *f, const uint8_t *p, size_t n) {
        f->rest = malloc(n);
        if (!f->rest)
                return;

        memcpy(f->rest, p, n);
        f->rest_n = n;
        f->rest_at = 0;
}

static void flow_drop_rest(Flow *f) {
        free(f->rest);
        f->rest = NULL;
        f->rest_n = f->rest_at = 0;
}

int flow_prepend(Flow *f, const void *p, size_t n) {
        uint8_t *grown;

        if (n == 0)
                return 0;

        grown = realloc(f->rest, f->rest_n + n);
        if (!grown)
                return -ENOMEM;

        memcpy(grown + f->rest_n, p, n);
        f->rest = grown;
        f->rest_n += n;
        return 0;
}

static void flow_put_pipe(Flow *f, PipePool *pool) {
        if (f->pipe)
                pipe_put(pool, TAKE_PTR(f->pipe));
}

void flow_done(Flow *f, PipePool *pool) {
        flow_drop_rest(f);
        flow_put_pipe(f, pool);
}

void flow_discard(Flow *f, PipePool *pool) {
        f->is_discarded = f->is_shut = true;
        flow_done(f, pool);
}

/* Handles the result @n of a write of @wanted bytes. After an error, the flow is discarded. */
static int flow_write_result(Flow *f, Side *to, PipePool *pool, ssize_t n, size_t wanted) {
        if (n < 0 && !errno_is_transient(-errno)) {
                flow_discard(f, pool);
                return STEP_DONE;
        }

        if (n < 0 ? errno == EAGAIN : (size_t) n < wanted) {
                to->can_write = false;
                return STEP_WAIT;
        }

        return STEP_DONE;
}

static int flow_write_rest(Flow *f, Side *to, PipePool *pool) {
        ssize_t n = send(to->fd, f->rest + f->rest_at, f->rest_n - f->rest_at, MSG_DONTWAIT | MSG_NOSIGNAL);
        int step = flow_write_result(f, to, pool, n, f->rest_n - f->rest_at);

        if (n > 0 && f->rest) {
                f->rest_at += (size_t) n;
                if (f->rest_at == f->rest_n)
                        flow_drop_rest(f);
        }

        return step;
}

static int flow_write_pipe(Flow *f, Side *to, PipePool *pool) {
        size_t wanted = f->pipe->n;
        ssize_t n = splice(f->pipe->read_fd, NULL, to->fd, NULL, wanted, SPLICE_F_NONBLOCK);
        int step;

        if (n > 0)
                f->pipe->n -= (size_t) n;

        step = flow_write_result(f, to, pool, n, wanted);
        /* A short splice(2) does not mean that the socket is full: one call takes a limited number of pages. */
        if (n > 0 && step == STEP_WAIT) {
                to->can_write = true;
                step = STEP_DONE;
        }
        return step;
}

/* Writes the bytes that were read before and not written. */
static int flow_write_pending(Flow *f, Side *to, PipePool *pool) {
        int step = STEP_DONE;

        while ((f->rest || (f->pipe && f->pipe->n > 0)) && step == STEP_DONE) {
                if (!to->can_write)
                        return STEP_WAIT;

                step = f->rest ? flow_write_rest(f, to, pool) : flow_write_pipe(f, to, pool);
        }

        return step;
}

/* Handles the result @n of a read of up to @wanted bytes. */
static int flow_read_result(Side *from, ssize_t n, size_t wanted) {
        if (n > 0) {
                /*
                 * A short read has emptied a stream socket (epoll(7), question 9). The end may still follow. Behind a short
                 * read from TLS, an alert may follow, of which no further event tells.
                 */
                if ((size_t) n < wanted && !from->has_end && !from->is_ktls)
                        from->can_read = false;
                return STEP_DONE;
        }

        if (n == 0)
                return STEP_END;
        if (errno == EINTR)
                return STEP_DONE;
        if (errno == EIO && from->is_ktls && ktls_explain(from->fd, NULL) == 0) /* the client's close_notify */
                return STEP_END;
        if (errno != EAGAIN)
                return STEP_BROKEN;

        from->can_read = false;
        return STEP_WAIT;
}

/* Returns how many bytes may be copied. 0: a request is over, and the next one has not begun. */
static size_t flow_small_size(const Flow *f) {
        return f->messages && f->messages->is_request ? MIN(SCRATCH_SIZE, framing_min_left(&f->messages->framing))
                                                      : SCRATCH_SIZE;
}

/* Returns how many bytes may go through a pipe: none but those of a body, if messages are followed. */
static size_t flow_bulk_size(const Flow *f) {
        const Framing *framing = f->messages ? &f->messages->framing : NULL;

        return !framing ? PIPE_SIZE
             : framing->state == FRAMING_BODY || framing->state == FRAMING_CHUNK_DATA
                     ? (size_t) MIN((uint64_t) PIPE_SIZE, framing->left)
                     : 0;
}

/* Follows the messages in bytes that were copied. What is lost, proxy_http_look() notices. */
static void flow_follow(FlowMessages *m, const uint8_t *p, size_t n) {
        int r = 0;

        while (m && n > 0 && r >= 0) {
                r = framing_feed(&m->framing, &p, &n, m->is_head);
                m->n_ended += r == FRAMING_END;
        }
}

static int flow_read_small(Flow *f, Side *from, Side *to, PipePool *pool, uint8_t *scratch, size_t size, size_t *moved) {
        ssize_t n = recv(from->fd, scratch, size, MSG_DONTWAIT), sent = 0;
        int step = flow_read_result(from, n, size);

        if (n <= 0)
                return step;

        *moved += (size_t) n;
        f->is_bulk = (size_t) n == SCRATCH_SIZE;
        flow_follow(f->messages, scratch, (size_t) n);
        if (f->is_discarded)
                return STEP_DONE;

        if (to->can_write) {
                sent = send(to->fd, scratch, (size_t) n, MSG_DONTWAIT | MSG_NOSIGNAL);
                (void) flow_write_result(f, to, pool, sent, (size_t) n);
        }

        if (!f->is_discarded && sent < n) {
                sent = MAX(sent, (ssize_t) 0);
                flow_keep_rest(f, scratch + sent, (size_t) (n - sent));
                if (!f->rest) /* no memory: a reset is better than a gap */
                        return STEP_BROKEN;
        }

        return STEP_DONE;
}

static bool flow_make_nonblocking(Side *s) {
        int on = 1;

        if (!s->is_nonblocking)
                s->is_nonblocking = ioctl(s->fd, FIONBIO, &on) >= 0;

        return s->is_nonblocking;
}

static int flow_read_bulk(Flow *f, Side *from, size_t *moved) {
        ssize_t n = splice(from->fd, NULL, f->pipe->write_fd, NULL, flow_bulk_size(f), SPLICE_F_NONBLOCK | SPLICE_F_MOVE);

        if (n > 0) {
                f->pipe->n += (size_t) n;
                *moved += (size_t) n;
                if (f->messages)
                        f->messages->n_ended += framing_skip(&f->messages->framing, (size_t) n) == FRAMING_END;
                return STEP_DONE;
        }

        /*
         * splice(2) does not read from some sockets (AF_VSOCK on old kernels), nor the end of TLS's data from one with the
         * kernel's TLS: copy.
         */
        if (n < 0 && (errno == EINVAL || errno == EOPNOTSUPP || errno == ENOMEM)) {
                f->is_bulk = false;
                return STEP_DONE;
        }

        return flow_read_result(from, n, PIPE_SIZE);
}

static bool flow_use_pipe(Flow *f, Side *from, Side *to, PipePool *pool) {
        if (!f->is_bulk || f->is_discarded || flow_bulk_size(f) < SCRATCH_SIZE || !flow_make_nonblocking(from) || !flow_make_nonblocking(to))
                return false;

        if (!f->pipe)
                f->pipe = pipe_get(pool);

        return f->pipe;
}

static int flow_move_some(Flow *f, Side *from, Side *to, PipePool *pool, uint8_t *scratch, size_t *moved) {
        size_t size = flow_small_size(f);

        if (!from->can_read || size == 0)
                return STEP_WAIT;

        if (flow_use_pipe(f, from, to, pool))
                return flow_read_bulk(f, from, moved);

        return flow_read_small(f, from, to, pool, scratch, size, moved);
}

/*
 * Sends the end to the destination. The other direction may go on (half-close). If there is no room for TLS's
 * close_notify, shutdown(2) would lose the last bytes (handoff/ktls.h).
 */
static FlowState flow_finish(Flow *f, Side *to) {
        if (!f->is_shut && to->is_ktls && ktls_close_notify(to->fd, NULL) == -EAGAIN) {
                to->can_write = false;
                return FLOW_WAITS;
        }

        if (!f->is_shut)
                (void) shutdown(to->fd, SHUT_WR);
        f->is_shut = true;
        return FLOW_ENDED;
}

size_t flow_n_pending(const Flow *f) {
        return f->rest_n - f->rest_at + (f->pipe ? f->pipe->n : 0);
}

FlowState flow_move(Flow *f, Side *from, Side *to, PipePool *pool, uint8_t *scratch, bool *moved) {
        size_t n = 0, before = flow_n_pending(f);
        int step;

        do {
                step = flow_write_pending(f, to, pool);
                if (step == STEP_DONE && f->ended)
                        break;
                if (step == STEP_DONE)
                        step = flow_move_some(f, from, to, pool, scratch, &n);
                f->ended = f->ended || step == STEP_END;
        } while ((step == STEP_DONE || step == STEP_END) && n < TURN_MAX);

        if (n > 0 || flow_n_pending(f) != before)
                *moved = true;
        if (f->pipe && f->pipe->n == 0)
                flow_put_pipe(f, pool);

        if (step == STEP_DONE && f->ended)
                return flow_finish(f, to);

        return step == STEP_BROKEN ? FLOW_RESET : step == STEP_WAIT ? FLOW_WAITS : FLOW_MORE;
}
