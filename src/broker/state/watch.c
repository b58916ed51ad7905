/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/state/watch.h"

#include "basic/fd.h"

int watch_listener(Loop *loop, Listener *l) {
        struct epoll_event event = { .events = EPOLLIN, .data.u64 = TOKEN_LISTENER | (uintptr_t) l };

        return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, l->fd, &event) < 0 ? -errno : 0;
}

void unwatch_listener(Loop *loop, Listener *l) {
        (void) epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, l->fd, NULL);
}

int watch_enable_listener(Loop *loop, Listener *l, bool enable) {
        int r = 0;

        if (l->is_on == enable)
                return 0;

        if (enable)
                r = watch_listener(loop, l);
        else
                unwatch_listener(loop, l);
        if (r >= 0)
                l->is_on = enable;

        return r;
}

static int watch_reports(Loop *loop, int how, int fd) {
        struct epoll_event event = { .events = EPOLLIN | EPOLLONESHOT, .data.u64 = TOKEN_CONNECTIONS };

        return epoll_ctl(loop->epoll_fd, how, fd, &event) < 0 ? -errno : 0;
}

int watch_connections(Loop *loop, int fd) {
        return watch_reports(loop, EPOLL_CTL_ADD, fd);
}

int watch_connections_again(Loop *loop, int fd) {
        return watch_reports(loop, EPOLL_CTL_MOD, fd);
}

static int watch_add(Loop *loop, const Client *c, int fd, uint32_t events) {
        struct epoll_event event = { .events = events, .data.u64 = client_token(c) };

        return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

int watch_connection(Loop *loop, const Client *c, int conn_fd) {
        return watch_add(loop, c, conn_fd, EPOLLIN | EPOLLRDHUP | EPOLLET);
}

static int watch_set(Loop *loop, int fd, uint32_t events, uint64_t token) {
        struct epoll_event event = { .events = events, .data.u64 = token };

        if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, fd, &event) >= 0 ||
            (errno == ENOENT && epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) >= 0))
                return 0;

        return -errno;
}

int watch_persistent(Loop *loop, uint32_t slot, int conn_fd, bool answers) {
        return watch_set(loop, conn_fd, EPOLLRDHUP | (answers ? EPOLLIN : 0), TOKEN_PERSISTENT | slot);
}

int watch_return(Loop *loop, const void *conn, int conn_fd, bool is_off) {
        if (is_off) { /* because EPOLLHUP can't be left out */
                unwatch_connection(loop, conn_fd);
                return 0;
        }

        return watch_set(loop, conn_fd, EPOLLIN, TOKEN_RETURN | (uintptr_t) conn);
}

void unwatch_connection(Loop *loop, int conn_fd) {
        (void) epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, conn_fd, NULL);
}

int watch_client(Loop *loop, Client *c) {
        int r;

        if (c->is_watched)
                return 0;

        r = watch_add(loop, c, c->fd, EPOLLIN | EPOLLRDHUP | EPOLLET);
        if (r < 0)
                return r;

        c->is_watched = true;
        return 0;
}

int watch_client_for_room(Loop *loop, Client *c) {
        int r;

        r = watch_add(loop, c, c->fd, EPOLLOUT | EPOLLET);
        if (r < 0)
                return r;

        c->is_watched = true;
        return 0;
}

void unwatch_client(Loop *loop, Client *c) {
        if (!c->is_watched)
                return;

        (void) epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, c->fd, NULL);
        c->is_watched = false;
}
