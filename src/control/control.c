/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "control/control.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include "basic/error.h"
#include "basic/fd.h"
#include "control/access.h"
#include "control/internal.h"
#include "handoff/handoff.h"

/* Peers at a time. One more ends the connection that has been quiet the longest. */
#define PEERS_MAX 32

/* Connections taken up in 100 ms; each costs some 100 µs. */
#define ACCEPT_INTERVAL_USEC (100 * USEC_PER_MSEC)
#define ACCEPT_BURST 40

/* With so many descriptors that the helper has yet to close, no more connections are accepted. */
#define CLOSING_MAX 1024

/* While others leave no time for what is less urgent, each peer has a turn this often all the same. */
#define TURN_USEC (50 * USEC_PER_MSEC)

static void control_make_room(Control *c) {
        Peer *quietest = NULL;

        if (c->n_peers < PEERS_MAX)
                return;

        LIST_FOREACH(i, &c->peers) {
                Peer *p = CONTAINER_OF(i, Peer, link);

                if (!quietest || p->heard_at < quietest->heard_at)
                        quietest = p;
        }

        peer_free(quietest);
}

static int on_listener(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Control *c = userdata;
        int conn_fd;
        Peer *p;

        /* Each connection is one more descriptor that the helper has to close. */
        if (helper_n_pending(c->broker->helper) >= CLOSING_MAX)
                return 0;

        conn_fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (conn_fd < 0)
                return 0; /* tried again, at the rate that the source is limited to */

        if (!access_is_allowed(fd, conn_fd)) {
                helper_close(c->broker->helper, HELPER_CONNECTIONS, conn_fd, 0);
                return 0;
        }

        control_make_room(c);
        if (peer_new(c, conn_fd, &p) < 0)
                return 0;

        if (c->n_peers == 1) {
                (void) sd_event_source_set_time_relative(c->timer, TURN_USEC);
                (void) sd_event_source_set_enabled(c->timer, SD_EVENT_ONESHOT);
        }
        return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Control *c = userdata;

        LIST_FOREACH(i, &c->peers)
                peer_turn(CONTAINER_OF(i, Peer, link));

        if (c->n_peers == 0)
                return 0;

        (void) sd_event_source_set_time_relative(c->timer, TURN_USEC);
        return sd_event_source_set_enabled(c->timer, SD_EVENT_ONESHOT);
}

static int add_sources(Control *c, int fd) {
        sd_event *event = c->broker->event;
        int r;

        (void) handoff_refuse_rights(fd);
        r = fd_nonblock(fd, true);
        if (r >= 0)
                r = sd_event_add_io(event, &c->io, fd, EPOLLIN, on_listener, c);
        if (r >= 0)
                r = sd_event_source_set_ratelimit(c->io, ACCEPT_INTERVAL_USEC, ACCEPT_BURST);
        if (r >= 0)
                r = sd_event_add_time(event, &c->timer, CLOCK_MONOTONIC, 0, USEC_PER_MSEC, on_timer, c);
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
        list_init(&c->peers);

        r = add_sources(c, fd);
        if (r < 0)
                return r;

        c->fd = fd; /* consumed */
        *ret = TAKE_PTR(c);
        return 0;
}

Control *control_free(Control *c) {
        if (!c)
                return NULL;

        LIST_FOREACH(i, &c->peers)
                peer_free(CONTAINER_OF(i, Peer, link));

        sd_event_source_disable_unref(c->io);
        sd_event_source_disable_unref(c->timer);
        fd_close(c->fd);
        free(c);
        return NULL;
}
