/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "control/conn.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <systemd/sd-id128.h>

#include "basic/fd.h"

/* A peer that does not read its answers for this long is closed. */
#define STALL_USEC (10 * USEC_PER_SEC)

uint64_t control_conn_n_queued(const ControlConn *conn) {
        uint64_t n = 0;

        return sd_bus_get_n_queued_write(conn->bus, &n) < 0 ? UINT64_MAX : n;
}

void control_conn_watch(ControlConn *conn) {
        /* A peer that does not read its answers can ask nothing more, because these answers would fill the memory. */
        (void) sd_event_source_set_io_events(conn->io, control_conn_n_queued(conn) == 0 ? EPOLLIN : EPOLLOUT);
}

/*
 * sd_bus_process(3) reads the next message if it can write none. So it is not called while answers wait and can't be
 * written.
 */
static bool control_conn_may_process(const ControlConn *conn) {
        struct pollfd p = { .fd = conn->fd, .events = POLLOUT };

        return control_conn_n_queued(conn) == 0 || poll(&p, 1, 0) > 0;
}

static void control_conn_process(ControlConn *conn) {
        int r;

        if (!control_conn_may_process(conn))
                return;

        r = sd_bus_process(conn->bus, NULL);
        if (r < 0) {
                control_conn_free(conn);
                return;
        }

        /* sd-bus may have read another message already, and no event of the descriptor tells of that one. */
        if (r > 0) {
                conn->active_at = loop_now(&conn->control->broker->loop);
                (void) sd_event_source_set_enabled(conn->next, SD_EVENT_ONESHOT);
        }

        control_conn_watch(conn);
}

static bool control_conn_is_stalled(ControlConn *conn) {
        usec_t now = loop_now(&conn->control->broker->loop);
        uint64_t n = control_conn_n_queued(conn);

        if (n == 0)
                conn->stalled_at = 0;
        else if (conn->stalled_at == 0)
                conn->stalled_at = now;

        return n >= 2 * CONTROL_QUEUE_MAX || (conn->stalled_at > 0 && now - conn->stalled_at > STALL_USEC);
}

void control_conn_turn(ControlConn *conn) {
        if (control_conn_is_stalled(conn))
                control_conn_free(conn);
        else
                control_conn_process(conn);
}

static int control_conn_on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        control_conn_process(userdata);
        return 0;
}

static int control_conn_on_next(sd_event_source *source, void *userdata) {
        control_conn_process(userdata);
        return 0;
}

/*
 * sd-bus closes its descriptor in the event loop. It gets a duplicate, so that the last close(2) is that of the helper.
 */
static int control_conn_give_fd(ControlConn *conn) {
        _cleanup_close_ int fd = fcntl(conn->fd, F_DUPFD_CLOEXEC, 3);
        int r;

        if (fd < 0)
                return -errno;

        r = sd_bus_set_fd(conn->bus, fd, fd);
        if (r < 0)
                return r;

        (void) TAKE_FD(fd);
        return 0;
}

/* The handshake asks for no credentials, because control_is_allowed() has checked them. */
static int control_conn_start_bus(ControlConn *conn) {
        sd_id128_t id;
        int r;

        r = sd_id128_randomize(&id);
        if (r >= 0)
                r = sd_bus_new(&conn->bus);
        if (r >= 0)
                r = control_conn_give_fd(conn);
        if (r >= 0)
                r = sd_bus_set_server(conn->bus, 1, id);
        if (r >= 0)
                r = sd_bus_set_anonymous(conn->bus, 1);
        if (r >= 0)
                r = sd_bus_negotiate_fds(conn->bus, 0);
        if (r >= 0)
                r = sd_bus_start(conn->bus);

        return r;
}

static int control_conn_add_sources(ControlConn *conn) {
        sd_event *event = conn->control->broker->loop.event;
        int r;

        r = sd_event_add_io(event, &conn->io, conn->fd, EPOLLIN, control_conn_on_io, conn);
        if (r >= 0)
                r = sd_event_source_set_priority(conn->io, CONTROL_PRIORITY);
        if (r >= 0)
                r = sd_event_add_defer(event, &conn->next, control_conn_on_next, conn);
        if (r >= 0)
                r = sd_event_source_set_priority(conn->next, CONTROL_PRIORITY);

        return r;
}

int control_conn_new(Control *c, int fd, ControlConn **ret) {
        ControlConn *conn = calloc(1, sizeof(*conn));
        int r;

        if (!conn) {
                helper_close(c->broker->helper, HELPER_CONNECTIONS, fd, 0);
                return -ENOMEM;
        }

        *conn = (ControlConn){ .control = c, .fd = fd, .active_at = loop_now(&c->broker->loop) };
        list_append(&c->conns, &conn->link);
        c->n_conns++;

        r = control_conn_start_bus(conn);
        if (r >= 0)
                r = control_conn_add_sources(conn);
        if (r < 0) {
                control_conn_free(conn);
                return r;
        }

        *ret = conn;
        return 0;
}

void control_conn_unsubscribe(ControlConn *conn) {
        Control *c = conn->control;

        if (!conn->is_subscribed)
                return;

        conn->is_subscribed = false;
        c->n_subscribed--;
        if (c->n_subscribed == 0)
                c->broker->diag.observer = NULL;
}

ControlConn *control_conn_free(ControlConn *conn) {
        control_conn_unsubscribe(conn);
        list_remove(&conn->link);
        conn->control->n_conns--;

        sd_event_source_disable_unref(conn->io);
        sd_event_source_disable_unref(conn->next);
        sd_bus_close_unref(conn->bus); /* a flush would wait for the peer */

        /* Descriptors may be in its queue, and closing them may wait. */
        helper_close(conn->control->broker->helper, HELPER_CONNECTIONS, conn->fd, 0);
        free(conn);
        return NULL;
}
