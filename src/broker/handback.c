/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/handback.h"

#include <poll.h>

#include "basic/error.h"
#include "basic/fd.h"
#include "broker/admission.h"
#include "broker/arrival.h"
#include "broker/handback-message.h"
#include "broker/state/watch.h"
#include "handoff/handoff.h"

/* Number of descriptors that the helper has yet to close at which no connection is accepted, because each adds one. */
#define CLOSING_MAX 1024

/* Time without a message after which a connection may be ended for a new one. */
#define CONN_GRACE_USEC (1 * USEC_PER_SEC)

/* Time for which a broker that stops waits for senders that are connected. */
#define STOP_CONNS_USEC (20 * USEC_PER_MSEC)

/* Messages that are taken from one connection in one turn. */
#define BATCH_MAX 32

/*
 * Largest number of return connections of one worker, one for each process of a server, and part of the descriptors for
 * clients that all workers may have for them. Further ones are closed, so that no worker takes the room of the others.
 */
#define WORKER_WAYS_MAX 256
#define WAYS_SHARE 8

static void handback_finish(ReturnConn *conn) {
        handback_message_take_rest(conn);
        handback_conn_end(conn);
}

void handback_on_event(ReturnConn *conn) {
        int r = 0;
        size_t n, max = conn->has_more ? BATCH_MAX : 1;

        for (n = 0; n < max && r == 0; n++)
                r = handback_message_take(conn);

        /* A look that finds no message costs as much as one that does. So one message is taken if there was one only. */
        conn->has_more = r == 0 || n > 2;

        if (errno_is_resource(r))
                handback_conn_pause(conn);
        else if (r != 0 && !errno_is_transient(r)) {
                handback_conn_end(conn);
                return;
        }

        handback_conn_touch(conn);
}

static int handback_on_conn(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        handback_on_event(userdata);
        return 0;
}

/* Without a return socket there is no listener for the clients of a return connection. */
static bool handback_has_room_for_way(const Broker *b, uint32_t worker) {
        const Handback *h = b->handback;
        size_t n = 0;

        if (!h || !h->self || h->n_ways >= b->admission.n_fds / WAYS_SHARE)
                return false;

        LIST_FOREACH(i, &h->ways)
                n += CONTAINER_OF(i, ReturnConn, link)->worker == worker;
        return n < WORKER_WAYS_MAX;
}

/* Tells the worker that its connection is ready, and whether it is drained. */
static int handback_new_way(Broker *b, int fd, uint32_t worker, bool wants_drains) {
        Handback *h = b->handback;
        ReturnConn *conn;
        int r;

        if (broker_is_stopping(b) || !handback_has_room_for_way(b, worker))
                return -ENOBUFS;

        r = handoff_accept_rights(fd);
        if (r < 0)
                return r;

        r = handback_conn_new(b, h->self, fd, worker, handback_on_conn, &conn);
        if (r < 0)
                return r;

        conn->wants_drains = wants_drains;
        (void) handoff_answer(fd, FDPASS_ANSWER_RETURN);
        handback_conn_tell_drain(conn);
        return 0;
}

void handback_take_ways(Broker *b) {
        bool wants_drains;
        uint32_t worker;
        int fd;

        while (ways_back_take(&b->ways_back, &fd, &worker, &wants_drains))
                if (handback_new_way(b, fd, worker, wants_drains) < 0)
                        helper_close(b->helper, HELPER_CONNECTIONS, fd, worker);
}

/*
 * Makes a place for a connection. If there are HANDBACK_CONNS_MAX, the one that has been silent longest ends. Returns false
 * if that one is not silent for 1 s yet. A sender of the stream form loses its client with its connection, so it needs
 * that time.
 */
static bool handback_make_place(Handback *h, usec_t now) {
        ReturnConn *conn;

        if (h->n_conns < HANDBACK_CONNS_MAX)
                return true;

        conn = CONTAINER_OF(list_first(&h->conns), ReturnConn, link);
        if (conn->active_at + CONN_GRACE_USEC > now)
                return false;

        handback_finish(conn);
        return true;
}

static void handback_on_ready(Listener *l, void *userdata) {
        Broker *b = userdata;
        _cleanup_close_ int conn_fd = -EBADF;
        ReturnConn *conn;

        if (helper_n_pending(b->helper) >= CLOSING_MAX || !handback_make_place(b->handback, loop_now(&b->loop))) {
                (void) watch_enable_listener(&b->loop, l, false);
                handback_conns_arm(b->handback);
                return;
        }

        conn_fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (conn_fd < 0) {
                if (!errno_is_accept_again(-errno))
                        admission_pause(b, -errno);
                return;
        }

        if (handback_conn_new(b, l, conn_fd, /* worker= */ 0, handback_on_conn, &conn) >= 0)
                (void) TAKE_FD(conn_fd);
        else { /* takes its messages, because the sender may have gone and left the clients to us */
                handback_message_take_rest(&(ReturnConn){ .broker = b, .listener = l, .fd = conn_fd });
                helper_close(b->helper, HELPER_CONNECTIONS, TAKE_FD(conn_fd), 0);
        }
}

static int handback_new(Broker *b) {
        int r;

        b->handback = calloc(1, sizeof(*b->handback));
        if (!b->handback)
                return -ENOMEM;

        r = handback_conns_init(b);
        if (r < 0)
                handback_done(b);

        return r;
}

int handback_listen(Broker *b, const char *name, int fd) {
        const ListenerHandlers handlers = { .on_ready = handback_on_ready, .on_timer = arrival_on_timer };
        socklen_t len = sizeof(int);
        Listener *l;
        int type, r;

        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0)
                return -errno;

        r = b->handback ? 0 : handback_new(b);
        if (r < 0)
                return r;

        r = listener_new(&b->loop, name, fd, type, &handlers, b, &l);
        if (r < 0)
                return r;

        l->is_return = true;
        r = admission_add_listener(b, l);
        if (r < 0)
                return r;

        if (type == SOCK_SEQPACKET && !b->handback->self)
                b->handback->self = l;
        return 0;
}

void handback_done(Broker *b) {
        Handback *h = b->handback;

        if (!h)
                return;

        handback_conns_done(b);
        free(TAKE_PTR(b->handback));
}

/*
 * Waits up to 20 ms for bytes on connections in the stream form. httpd connects a little before it sends its client. It
 * would lose the client with the connection.
 */
static void handback_await_streams(Handback *h) {
        usec_t end = usec_now() + STOP_CONNS_USEC, now;

        LIST_FOREACH(i, &h->conns) {
                ReturnConn *conn = CONTAINER_OF(i, ReturnConn, link);
                struct pollfd poll_fd = { .fd = conn->fd, .events = POLLIN };

                if (conn->listener->type == SOCK_STREAM && (now = usec_now()) < end)
                        (void) poll(&poll_fd, 1, (int) ((end - now) / USEC_PER_MSEC));
        }
}

void handback_stop(Broker *b) {
        Handback *h = b->handback;

        if (!h)
                return;

        handback_await_streams(h);
        LIST_FOREACH(i, &h->conns)
                handback_finish(CONTAINER_OF(i, ReturnConn, link));
        LIST_FOREACH(i, &h->ways)
                handback_finish(CONTAINER_OF(i, ReturnConn, link));
}

void handback_tell_drains(Broker *b) {
        if (b->handback)
                handback_conns_tell_drains(b);
}

const Listener *handback_self(const Broker *b) {
        return b->handback ? b->handback->self : NULL;
}
