/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/watch.h"

#include <sys/epoll.h>

#include "basic/fd.h"
#include "broker/broker.h"
#include "broker/listener.h"

int watch_init(Watch *w, Broker *b, sd_event *event) {
        w->broker = b;
        w->sd_event_fd = sd_event_get_fd(event);
        w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);

        return w->epoll_fd < 0 ? -errno : 0;
}

void watch_done(Watch *w) {
        w->epoll_fd = fd_close(w->epoll_fd);
}

int watch_listener(Watch *w, Listener *l) {
        struct epoll_event event = { .events = EPOLLIN, .data.u64 = TOKEN_LISTENER | (uintptr_t) l };

        return epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, l->fd, &event) < 0 ? -errno : 0;
}

void unwatch_listener(Watch *w, Listener *l) {
        (void) epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, l->fd, NULL);
}

static int add(Watch *w, Client *c, int fd, uint32_t events) {
        struct epoll_event event = {
                .events = events,
                .data.u64 = client_token(&w->broker->clients, c),
        };

        return epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

int watch_connection(Watch *w, Client *c, int conn_fd) {
        /* Once: until the helper has closed it, each turn would tell of its end. */
        return add(w, c, conn_fd, EPOLLIN | EPOLLRDHUP | EPOLLET);
}

int watch_channel(Watch *w, uint32_t channel, int conn_fd, bool answers) {
        struct epoll_event event = {
                .events = EPOLLRDHUP | (answers ? EPOLLIN : 0),
                .data.u64 = TOKEN_CHANNEL | channel,
        };

        if (epoll_ctl(w->epoll_fd, EPOLL_CTL_MOD, conn_fd, &event) >= 0 ||
            (errno == ENOENT && epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, conn_fd, &event) >= 0))
                return 0;

        return -errno;
}

void unwatch_channel(Watch *w, int conn_fd) {
        (void) epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, conn_fd, NULL);
}

int watch_client(Watch *w, Client *c) {
        int r;

        if (c->watched)
                return 0;

        r = add(w, c, c->fd, EPOLLIN | EPOLLRDHUP | EPOLLET);
        if (r < 0)
                return r;

        c->watched = true;
        return 0;
}

int watch_client_for_room(Watch *w, Client *c) {
        int r;

        r = add(w, c, c->fd, EPOLLOUT | EPOLLET);
        if (r < 0)
                return r;

        c->watched = true;
        return 0;
}

void unwatch_client(Watch *w, Client *c) {
        if (!c->watched)
                return;

        (void) epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, c->fd, NULL);
        c->watched = false;
}
