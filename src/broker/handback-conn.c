/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/handback-conn.h"

#include "basic/error.h"
#include "broker/admission.h"
#include "broker/state/watch.h"
#include "handoff/handoff.h"

/* Time until a connection or a listener that found no place is tried again. */
#define PAUSE_USEC (250 * USEC_PER_MSEC)

uint32_t handback_conn_owner(const ReturnConn *conn) {
        return conn->worker != 0 ? conn->worker : UINT32_C(1) << 31 | conn->sender.uid;
}

static void handback_conn_free(ReturnConn *conn) {
        if (conn->io)
                sd_event_source_disable_unref(conn->io);
        else
                unwatch_connection(&conn->broker->loop, conn->fd);
        helper_close(conn->broker->helper, HELPER_CONNECTIONS, conn->fd, handback_conn_owner(conn));
        list_remove(&conn->link);
        free(conn);
}

static void handback_conn_enable_listeners(Broker *b) {
        int r = admission_enable_listeners(b);

        if (r < 0)
                admission_pause(b, r);
}

void handback_conn_end(ReturnConn *conn) {
        Broker *b = conn->broker;

        if (conn->worker != 0)
                b->handback->n_ways--;
        else if (b->handback->n_conns-- == HANDBACK_CONNS_MAX)
                handback_conn_enable_listeners(b);
        handback_conn_free(conn);
}

void handback_conns_arm(Handback *h) {
        timer_set(&h->timer, usec_now() + PAUSE_USEC);
}

static int handback_conn_enable(ReturnConn *conn, bool enable) {
        return conn->io ? sd_event_source_set_enabled(conn->io, enable ? SD_EVENT_ON : SD_EVENT_OFF)
                        : watch_return(&conn->broker->loop, conn, conn->fd, /* is_off= */ !enable);
}

void handback_conn_pause(ReturnConn *conn) {
        (void) handback_conn_enable(conn, false);
        handback_conns_arm(conn->broker->handback);
}

int handback_conn_give_answer(ReturnConn *conn) {
        int r = conn->answer != 0 ? handoff_answer(conn->fd, conn->answer) : 0;

        if (errno_is_transient(r))
                return HANDOFF_CLOSED;
        if (r >= 0)
                conn->answer = 0;
        return r;
}

static void handback_conn_resume(List *conns) {
        LIST_FOREACH(i, conns) {
                ReturnConn *conn = CONTAINER_OF(i, ReturnConn, link);

                if (handback_conn_enable(conn, true) < 0 || handback_conn_give_answer(conn) < 0)
                        handback_conn_pause(conn);
        }
}

static void handback_conn_on_timer(void *userdata) {
        Broker *b = userdata;

        handback_conn_resume(&b->handback->conns);
        handback_conn_resume(&b->handback->ways);
        handback_conn_enable_listeners(b);
}

static bool handback_conn_is_drained(const ReturnConn *conn) {
        const Worker *w = worker_find_number(&conn->broker->workers, conn->worker);

        return conn->broker->host_drain.is_on || (w && w->is_drained);
}

/* Tells the worker what it does not know yet. Returns false if its socket has no room. */
static bool handback_conn_tell(ReturnConn *conn) {
        bool is_drained = handback_conn_is_drained(conn);

        if (!conn->wants_drains || conn->is_drained == is_drained)
                return true;
        if (handoff_answer(conn->fd, is_drained ? FDPASS_TELL_DRAINED : FDPASS_TELL_UNDRAINED) < 0)
                return false;

        conn->is_drained = is_drained;
        return true;
}

void handback_conn_tell_drain(ReturnConn *conn) {
        if (!handback_conn_tell(conn))
                timer_set(&conn->broker->handback->tell_timer, usec_now() + PAUSE_USEC);
}

void handback_conns_tell_drains(Broker *b) {
        bool is_done = true;

        LIST_FOREACH(i, &b->handback->ways)
                is_done = handback_conn_tell(CONTAINER_OF(i, ReturnConn, link)) && is_done;
        if (!is_done)
                timer_set(&b->handback->tell_timer, usec_now() + PAUSE_USEC);
}

static void handback_conn_on_tell_timer(void *userdata) {
        handback_conns_tell_drains(userdata);
}

int handback_conn_new(Broker *b, Listener *l, int fd, uint32_t worker, sd_event_io_handler_t handler,
                      ReturnConn **ret) {
        Handback *h = b->handback;
        ReturnConn *conn = calloc(1, sizeof(*conn));
        int r;

        if (!conn)
                return -ENOMEM;

        *conn = (ReturnConn){ .broker = b, .listener = l, .fd = fd, .worker = worker, .active_at = loop_now(&b->loop) };
        (void) getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &conn->sender, &(socklen_t){ sizeof(conn->sender) });

        /* An iteration of sd-event is too dear for workers, which hand back for each request of a client. */
        r = worker != 0 ? watch_return(&b->loop, conn, fd, /* is_off= */ false)
                        : sd_event_add_io(b->loop.event, &conn->io, fd, EPOLLIN, handler, conn);
        if (r < 0) {
                free(conn);
                return r;
        }

        list_append(worker != 0 ? &h->ways : &h->conns, &conn->link);
        *(worker != 0 ? &h->n_ways : &h->n_conns) += 1;
        *ret = conn;
        return 0;
}

void handback_conn_touch(ReturnConn *conn) {
        Handback *h = conn->broker->handback;

        conn->active_at = loop_now(&conn->broker->loop);
        list_remove(&conn->link);
        list_append(conn->worker != 0 ? &h->ways : &h->conns, &conn->link);
}

int handback_conns_init(Broker *b) {
        Handback *h = b->handback;
        int r;

        list_init(&h->conns);
        list_init(&h->ways);

        r = timer_init(&h->timer, &b->loop, handback_conn_on_timer, b);
        return r < 0 ? r : timer_init(&h->tell_timer, &b->loop, handback_conn_on_tell_timer, b);
}

void handback_conns_done(Broker *b) {
        Handback *h = b->handback;

        LIST_FOREACH(i, &h->conns)
                handback_conn_free(CONTAINER_OF(i, ReturnConn, link));
        LIST_FOREACH(i, &h->ways)
                handback_conn_free(CONTAINER_OF(i, ReturnConn, link));

        timer_done(&h->timer);
        timer_done(&h->tell_timer);
}
