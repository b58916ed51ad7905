/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "control/control.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "basic/fd.h"
#include "control/conn.h"
#include "handoff/handoff.h"

/* Connections at a time. One more closes the one that has been idle for the longest time. */
#define CONNS_MAX 32

/* At most this many connections are accepted per interval, because each takes the loop about 100 µs. */
#define ACCEPT_INTERVAL_USEC (100 * USEC_PER_MSEC)
#define ACCEPT_BURST 40

/* No connection is accepted while the helper has this many descriptors to close. */
#define CLOSING_MAX 1024

/* Each connection has a turn this often, because its events have a low priority and may never come under load. */
#define TURN_USEC (50 * USEC_PER_MSEC)

/* If the socket has no path, or its file is gone, others are taken to be able to connect. */
static bool control_is_open_to_others(int listener_fd) {
        struct sockaddr_un sun = {};
        socklen_t len = sizeof(sun) - 1; /* so that the path ends with a NUL */
        struct stat st;

        return getsockname(listener_fd, (struct sockaddr *) &sun, &len) < 0 || sun.sun_family != AF_UNIX ||
               sun.sun_path[0] != '/' || stat(sun.sun_path, &st) < 0 || st.st_mode & S_IWOTH;
}

/*
 * May the peer of @fd use the interface? connect(2) checks the mode of the socket's file, so its owner and group
 * decide. If an administrator has opened the file to all users (SocketMode=0666), only root and the broker's user may.
 */
static bool control_is_allowed(int listener_fd, int fd) {
        struct ucred cred;
        socklen_t len = sizeof(cred);

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
                return false;

        return cred.uid == 0 || cred.uid == geteuid() || !control_is_open_to_others(listener_fd);
}

static void control_make_room(Control *c) {
        ControlConn *idlest = NULL;

        if (c->n_conns < CONNS_MAX)
                return;

        LIST_FOREACH(i, &c->conns) {
                ControlConn *conn = CONTAINER_OF(i, ControlConn, link);

                if (!idlest || conn->active_at < idlest->active_at)
                        idlest = conn;
        }

        control_conn_free(idlest);
}

static void control_start_timer(Control *c) {
        (void) sd_event_source_set_time_relative(c->timer, TURN_USEC);
        (void) sd_event_source_set_enabled(c->timer, SD_EVENT_ONESHOT);
}

static int control_on_listener(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Control *c = userdata;
        ControlConn *conn;
        int conn_fd;

        if (helper_n_pending(c->broker->helper) >= CLOSING_MAX)
                return 0;

        conn_fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (conn_fd < 0)
                return 0; /* the rate limit of the source also limits the retries */

        if (!control_is_allowed(fd, conn_fd)) {
                helper_close(c->broker->helper, HELPER_CONNECTIONS, conn_fd, 0);
                return 0;
        }

        control_make_room(c);
        if (control_conn_new(c, conn_fd, &conn) < 0)
                return 0;
        if (interface_add(conn) < 0)
                control_conn_free(conn);
        if (c->n_conns == 1)
                control_start_timer(c);

        return 0;
}

static int control_on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Control *c = userdata;

        LIST_FOREACH(i, &c->conns)
                control_conn_turn(CONTAINER_OF(i, ControlConn, link));

        if (c->n_conns > 0)
                control_start_timer(c);

        return 0;
}

static int control_add_sources(Control *c, int fd) {
        sd_event *event = c->broker->loop.event;
        int r;

        (void) handoff_refuse_rights(fd);
        r = fd_nonblock(fd, true);
        if (r >= 0)
                r = sd_event_add_io(event, &c->io, fd, EPOLLIN, control_on_listener, c);
        if (r >= 0)
                r = sd_event_source_set_ratelimit(c->io, ACCEPT_INTERVAL_USEC, ACCEPT_BURST);
        if (r >= 0)
                r = sd_event_add_time(event, &c->timer, CLOCK_MONOTONIC, 0, USEC_PER_MSEC, control_on_timer, c);
        if (r >= 0)
                r = sd_event_source_set_enabled(c->timer, SD_EVENT_OFF);

        return r;
}

int control_new(Broker *b, int fd, const ControlHost *host, Control **ret) {
        _cleanup_(control_freep) Control *c = calloc(1, sizeof(*c));
        int r;

        if (!c)
                return -ENOMEM;

        *c = (Control){ .broker = b, .host = *host, .fd = -EBADF, .started_at = usec_now_realtime() };
        list_init(&c->conns);

        r = control_add_sources(c, fd);
        if (r < 0)
                return r;

        c->fd = fd; /* consumed */
        *ret = TAKE_PTR(c);
        return 0;
}

Control *control_free(Control *c) {
        if (!c)
                return NULL;

        LIST_FOREACH(i, &c->conns)
                control_conn_free(CONTAINER_OF(i, ControlConn, link));

        sd_event_source_disable_unref(c->io);
        sd_event_source_disable_unref(c->timer);
        fd_close(c->fd);
        free(c);
        return NULL;
}
