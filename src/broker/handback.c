/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/handback.h"

#include <poll.h>
#include <sys/socket.h>

#include "basic/error.h"
#include "basic/fd.h"
#include "broker/admission.h"
#include "broker/arrival.h"
#include "broker/returned.h"
#include "broker/state/watch.h"
#include "handoff/handoff.h"
#include "handoff/message.h"

/* Largest number of connections. Further ones wait in the backlog. */
#define CONNS_MAX 64

/* Number of descriptors that the helper has yet to close at which no connection is accepted, because each adds one. */
#define CLOSING_MAX 1024

/* Time without a message after which a connection may be ended for a new one. */
#define CONN_GRACE_USEC (1 * USEC_PER_SEC)

/* Time until a connection or a listener that found no place is tried again. */
#define PAUSE_USEC (250 * USEC_PER_MSEC)

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

/* A connection that brings clients: any number of messages, or one byte in the stream form. */
struct ReturnConn {
        Broker *broker;
        Listener *listener;
        List link;              /* Handback.conns, the longest silent one first; or Handback.ways */
        uint32_t worker;        /* Worker.number of the worker whose own it is; 0: it was accepted */
        int fd;
        sd_event_source *io;    /* NULL: it is a worker's own, whose events the loop reports (watch_return()) */
        usec_t active_at;
        bool has_told;          /* Worker.compares_next was set */
        bool wants_drains;      /* the worker is told of drains, and does not want to know what was taken */
        bool is_drained;        /* what the worker was told last */
        bool has_more;          /* several messages were there at the last event */
        uint8_t answer;         /* an answer that the socket had no room for yet; 0: none */
        struct ucred sender;
};

struct Handback {
        Listener *self;         /* the first return socket with messages; NULL: none */
        List conns;             /* ReturnConn.link */
        size_t n_conns;
        List ways;              /* ReturnConn.link: return connections of workers */
        size_t n_ways;
        Timer timer;            /* turns on connections and listeners that wait for a place */
        Timer tell_timer;       /* tells workers of drains whose sockets were full */
        uint8_t buffer[FDPASS_MESSAGE_MAX];
};

/*
 * Returns the number by which the helper knows the sender, if a call on a descriptor of it hangs. Numbers of workers
 * are lower. With PrivateUsers= most users have the same number here (user_namespaces(7)).
 */
static uint32_t handback_owner(const ReturnConn *conn) {
        return conn->worker != 0 ? conn->worker : UINT32_C(1) << 31 | conn->sender.uid;
}

/* Frees the connection. The helper closes it, because its queue may hold descriptors. */
static void handback_free(ReturnConn *conn) {
        if (conn->io)
                sd_event_source_disable_unref(conn->io);
        else
                unwatch_connection(&conn->broker->loop, conn->fd);
        helper_close(conn->broker->helper, HELPER_CONNECTIONS, conn->fd, handback_owner(conn));
        list_remove(&conn->link);
        free(conn);
}

static void handback_enable_listeners(Broker *b) {
        int r = admission_enable_listeners(b);

        if (r < 0)
                admission_pause(b, r);
}

static void handback_end(ReturnConn *conn) {
        Broker *b = conn->broker;

        if (conn->worker != 0)
                b->handback->n_ways--;
        else if (b->handback->n_conns-- == CONNS_MAX)
                handback_enable_listeners(b);
        handback_free(conn);
}

static void handback_arm(Handback *h) {
        timer_set(&h->timer, usec_now() + PAUSE_USEC);
}

static int handback_enable(ReturnConn *conn, bool enable) {
        return conn->io ? sd_event_source_set_enabled(conn->io, enable ? SD_EVENT_ON : SD_EVENT_OFF)
                        : watch_return(&conn->broker->loop, conn, conn->fd, /* is_off= */ !enable);
}

static void handback_pause(ReturnConn *conn) {
        (void) handback_enable(conn, false);
        handback_arm(conn->broker->handback);
}

/*
 * Sends the answer that is left. Returns 0, HANDOFF_CLOSED if the sender does not read its answers, or a negative
 * errno.
 */
static int handback_give_answer(ReturnConn *conn) {
        int r = conn->answer != 0 ? handoff_answer(conn->fd, conn->answer) : 0;

        if (errno_is_transient(r))
                return HANDOFF_CLOSED;
        if (r >= 0)
                conn->answer = 0;
        return r;
}

static void handback_resume(List *conns) {
        LIST_FOREACH(i, conns) {
                ReturnConn *conn = CONTAINER_OF(i, ReturnConn, link);

                if (handback_enable(conn, true) < 0 || handback_give_answer(conn) < 0)
                        handback_pause(conn);
        }
}

static void handback_on_timer(void *userdata) {
        Broker *b = userdata;

        handback_resume(&b->handback->conns);
        handback_resume(&b->handback->ways);
        handback_enable_listeners(b);
}

static bool handback_is_drained(const ReturnConn *conn) {
        const Worker *w = worker_find_number(&conn->broker->workers, conn->worker);

        return conn->broker->host_drain.is_on || (w && w->is_drained);
}

/* Tells the worker what it does not know yet. Returns false if its socket has no room. */
static bool handback_tell(ReturnConn *conn) {
        bool is_drained = handback_is_drained(conn);

        if (!conn->wants_drains || conn->is_drained == is_drained)
                return true;
        if (handoff_answer(conn->fd, is_drained ? FDPASS_TELL_DRAINED : FDPASS_TELL_UNDRAINED) < 0)
                return false;

        conn->is_drained = is_drained;
        return true;
}

void handback_tell_drains(Broker *b) {
        bool is_done = true;

        if (!b->handback)
                return;

        LIST_FOREACH(i, &b->handback->ways)
                is_done = handback_tell(CONTAINER_OF(i, ReturnConn, link)) && is_done;
        if (!is_done)
                timer_set(&b->handback->tell_timer, usec_now() + PAUSE_USEC);
}

static void handback_on_tell_timer(void *userdata) {
        handback_tell_drains(userdata);
}

/* Decodes a message, or the one byte of the stream form. The type of the socket tells which form it is. */
static bool handback_decode(const Listener *l, const uint8_t *p, size_t n, Message *ret) {
        if (l->type == SOCK_SEQPACKET)
                return message_decode(p, n, ret) == 0;

        *ret = MESSAGE_NULL;
        return n == 1 && p[0] == 0x00;
}

/*
 * Returns -ENOBUFS if no place is free for a client of the stream form, whose sender could not be told. Its message stays
 * in the queue.
 */
static int handback_check_place(const ReturnConn *conn) {
        return conn->listener->type == SOCK_STREAM && admission_free_places(conn->broker) == 0 ? -ENOBUFS : 0;
}

/*
 * Peeks at the next message (handoff_peek_message()). If there is no room for one descriptor, returns that error, and the
 * message stays in the queue. A second look follows if there is room, because the helper may have made it meanwhile.
 */
static int handback_peek(ReturnConn *conn, size_t size, size_t *ret_n, int ret_fds[static HANDOFF_RIGHTS_MAX],
                         size_t *ret_n_fds) {
        Broker *b = conn->broker;
        int r;

        r = handoff_peek_message(conn->fd, b->handback->buffer, size, ret_n, ret_fds, ret_n_fds);
        if (r != HANDOFF_NO_FD || *ret_n_fds > 0)
                return r;

        r = handoff_check_room(conn->fd);
        if (r < 0) {
                diag_no_resources(&b->diag, r);
                return r;
        }

        return handoff_peek_message(conn->fd, b->handback->buffer, size, ret_n, ret_fds, ret_n_fds);
}

static bool handback_is_client(int fd) {
        return handoff_check_client(fd, /* with_unix= */ false) == 0 && handoff_check_connected(fd) == 0;
}

/*
 * A worker's own connection brings only clients that it was given, and chooses no route for them. So a socket with a
 * seal is a stream of IP, and only needs to be connected still. *ret_cookie is 0 if it is not known.
 */
static bool handback_may_take(const ReturnConn *conn, int fd, const Message *m, uint64_t *ret_cookie) {
        *ret_cookie = 0;
        if (conn->worker == 0)
                return handback_is_client(fd);
        if (m->name.n > 0 || m->hops > 0)
                return false;

        *ret_cookie = seal_cookie(fd);
        return seal_is_valid(&conn->broker->seal_key, *ret_cookie, m) &&
               (handoff_is_connected(fd) || handback_is_client(fd));
}

/* Notes that the worker compares first requests, and forgets NEXT of a sender that is no worker's own connection. */
static void handback_note_next(ReturnConn *conn, Message *m) {
        Worker *w;

        if (conn->worker == 0)
                m->next = (Slice){};
        if (m->next.n == 0 || conn->has_told)
                return;

        w = worker_find_number(&conn->broker->workers, conn->worker);
        if (w)
                w->compares_next = true;
        conn->has_told = true;
}

/*
 * Takes the next message, and writes its answer to *ret_answer. First the message is peeked at, which opens its
 * descriptors here. So the kernel never drops the last copy of one. The helper closes all descriptors that are no
 * client. Returns as handback_receive_one().
 */
static int handback_look_and_take(ReturnConn *conn, uint8_t *ret_answer) {
        bool is_stream = conn->listener->type == SOCK_STREAM, is_told = false;
        Broker *b = conn->broker;
        Handback *h = b->handback;
        int fds[HANDOFF_RIGHTS_MAX], r, k = 0;
        uint64_t cookie;
        size_t n, n_fds;
        Message m;

        r = handback_peek(conn, is_stream ? 2 : sizeof(h->buffer), &n, fds, &n_fds);
        if (r == 0 || r == HANDOFF_INVALID)
                k = handoff_discard(conn->fd, n);

        if (k < 0)
                r = k; /* the next look finds it again */
        else if (r == HANDOFF_NO_FD)
                *ret_answer = FDPASS_ANSWER_REFUSED; /* the sender still has it */
        else if (r == 0 && handback_decode(conn->listener, h->buffer, n, &m) &&
                 handback_may_take(conn, fds[0], &m, &cookie)) {
                handback_note_next(conn, &m);
                *ret_answer = returned_take(b, conn->listener, fds[0], cookie, &m, handback_owner(conn));
                is_told = m.next.n > 0;
        }

        for (size_t i = 0; i < n_fds; i++)
                if (i > 0 || *ret_answer != FDPASS_ANSWER_TAKEN)
                        helper_close(b->helper, HELPER_CONNECTIONS, fds[i], handback_owner(conn));

        if ((is_told || conn->wants_drains) && *ret_answer == FDPASS_ANSWER_TAKEN)
                *ret_answer = 0; /* its sender does not want to know */

        if (r >= 0 && r != HANDOFF_NO_FD && r != HANDOFF_CLOSED && *ret_answer == FDPASS_ANSWER_ERROR &&
            conn->worker == 0)
                diag_return_refused(&b->diag, &conn->sender);
        return r;
}

/*
 * Takes the next message and answers it. Returns 0, a positive condition that ends the connection, or a negative errno:
 * -EAGAIN if there is no message, or an error for which errno_is_resource() is true.
 */
static int handback_receive_one(ReturnConn *conn) {
        uint8_t answer = FDPASS_ANSWER_ERROR;
        int r, k;

        r = handback_give_answer(conn);
        if (r != 0)
                return r;

        r = handback_check_place(conn);
        if (r < 0)
                return r;

        r = handback_look_and_take(conn, &answer);
        if (r < 0 || r == HANDOFF_CLOSED)
                return r;

        conn->answer = answer;
        k = handback_give_answer(conn);
        if (conn->listener->type == SOCK_STREAM)
                return HANDOFF_CLOSED;
        return k != 0 ? k : r;
}

/*
 * Takes the messages that are left on a connection that has to end. After the shutdown its sender gets EPIPE, so the
 * sender knows that it still has the client. Messages that were sent before are all in the queue (unix(7)).
 */
static void handback_receive_rest(ReturnConn *conn) {
        (void) shutdown(conn->fd, SHUT_RD);

        for (size_t i = 0; i < HANDBACK_REST_MAX && handback_receive_one(conn) == 0; i++)
                ;
}

static void handback_finish(ReturnConn *conn) {
        handback_receive_rest(conn);
        handback_end(conn);
}

void handback_on_event(ReturnConn *conn) {
        Broker *b = conn->broker;
        int r = 0;

        size_t n, max = conn->has_more ? BATCH_MAX : 1;

        for (n = 0; n < max && r == 0; n++)
                r = handback_receive_one(conn);

        /* A look that finds no message costs as much as one that does. So one message is taken if there was one only. */
        conn->has_more = r == 0 || n > 2;

        if (errno_is_resource(r))
                handback_pause(conn);
        else if (r != 0 && !errno_is_transient(r)) {
                handback_end(conn);
                return;
        }

        conn->active_at = loop_now(&b->loop);
        list_remove(&conn->link);
        list_append(conn->worker != 0 ? &b->handback->ways : &b->handback->conns, &conn->link);
}

static int handback_on_conn(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        handback_on_event(userdata);
        return 0;
}

/*
 * Takes messages on @fd, which is consumed on success. @worker is ReturnConn.worker. Returns 0 and the connection, or a
 * negative errno.
 */
static int handback_new_conn(Broker *b, Listener *l, int fd, uint32_t worker, ReturnConn **ret) {
        Handback *h = b->handback;
        ReturnConn *conn = calloc(1, sizeof(*conn));
        int r;

        if (!conn)
                return -ENOMEM;

        *conn = (ReturnConn){ .broker = b, .listener = l, .fd = fd, .worker = worker, .active_at = loop_now(&b->loop) };
        (void) getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &conn->sender, &(socklen_t){ sizeof(conn->sender) });

        /* An iteration of sd-event is too dear for workers, which hand back for each request of a client. */
        r = worker != 0 ? watch_return(&b->loop, conn, fd, /* is_off= */ false)
                        : sd_event_add_io(b->loop.event, &conn->io, fd, EPOLLIN, handback_on_conn, conn);
        if (r < 0) {
                free(conn);
                return r;
        }

        list_append(worker != 0 ? &h->ways : &h->conns, &conn->link);
        *(worker != 0 ? &h->n_ways : &h->n_conns) += 1;
        *ret = conn;
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

        r = handback_new_conn(b, h->self, fd, worker, &conn);
        if (r < 0)
                return r;

        conn->wants_drains = wants_drains;
        (void) handoff_answer(fd, FDPASS_ANSWER_RETURN);
        if (!handback_tell(conn))
                timer_set(&h->tell_timer, usec_now() + PAUSE_USEC);
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
 * Makes a place for a connection. If there are CONNS_MAX, the one that has been silent longest ends. Returns false if
 * that one is not silent for 1 s yet. A sender of the stream form loses its client with its connection, so it needs
 * that time.
 */
static bool handback_make_place(Handback *h, usec_t now) {
        ReturnConn *conn;

        if (h->n_conns < CONNS_MAX)
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
                handback_arm(b->handback);
                return;
        }

        conn_fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (conn_fd < 0) {
                if (!errno_is_accept_again(-errno))
                        admission_pause(b, -errno);
                return;
        }

        if (handback_new_conn(b, l, conn_fd, /* worker= */ 0, &conn) >= 0)
                (void) TAKE_FD(conn_fd);
        else { /* takes its messages, because the sender may have gone and left the clients to us */
                handback_receive_rest(&(ReturnConn){ .broker = b, .listener = l, .fd = conn_fd });
                helper_close(b->helper, HELPER_CONNECTIONS, TAKE_FD(conn_fd), 0);
        }
}

static int handback_new(Broker *b) {
        int r;

        b->handback = calloc(1, sizeof(*b->handback));
        if (!b->handback)
                return -ENOMEM;

        list_init(&b->handback->conns);
        list_init(&b->handback->ways);

        r = timer_init(&b->handback->timer, &b->loop, handback_on_timer, b);
        if (r >= 0)
                r = timer_init(&b->handback->tell_timer, &b->loop, handback_on_tell_timer, b);
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

        LIST_FOREACH(i, &h->conns)
                handback_free(CONTAINER_OF(i, ReturnConn, link));
        LIST_FOREACH(i, &h->ways)
                handback_free(CONTAINER_OF(i, ReturnConn, link));

        timer_done(&h->timer);
        timer_done(&h->tell_timer);
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

const Listener *handback_self(const Broker *b) {
        return b->handback ? b->handback->self : NULL;
}
