/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/watch.h"

#include <sys/epoll.h>

#include "basic/error.h"
#include "basic/fd.h"
#include "broker/broker.h"
#include "broker/channel.h"
#include "broker/flush.h"
#include "broker/handback.h"
#include "broker/head.h"
#include "broker/receipts.h"
#include "broker/refusal.h"

/* In a token: it is the number of a channel, and no client's. Those have their slot there, which is never so high. */
#define TOKEN_CHANNEL (UINT64_C(1) << 63)

/* Events taken in one turn of the event loop; the listeners come next. */
#define BATCH_MAX 64

static int on_epoll(sd_event_source *source, int fd, uint32_t revents, void *userdata);

int watch_init(Watch *w, Broker *b) {
        int r;

        w->broker = b;

        w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (w->epoll_fd < 0)
                return -errno;

        /* At the priority of listeners and timers: clients that keep us busy here must not starve those. */
        r = sd_event_add_io(b->event, &w->io, w->epoll_fd, EPOLLIN, on_epoll, w);
        if (r < 0)
                return r;

        /* Without it the broker would be deaf, and go on feeding its watchdog. The next one is not. */
        return sd_event_source_set_exit_on_failure(w->io, true);
}

void watch_done(Watch *w) {
        w->io = sd_event_source_disable_unref(w->io);
        w->epoll_fd = fd_close(w->epoll_fd);
}

static int add(Watch *w, Client *c, int fd, uint32_t events) {
        struct epoll_event event = {
                .events = events,
                .data.u64 = client_token(&w->broker->clients, c),
        };

        return epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

int watch_connection(Watch *w, Client *c, int conn_fd) {
        return add(w, c, conn_fd, EPOLLIN | EPOLLRDHUP);
}

int watch_channel(Watch *w, uint32_t channel, int conn_fd) {
        struct epoll_event event = { .events = EPOLLIN | EPOLLRDHUP, .data.u64 = TOKEN_CHANNEL | channel };

        return epoll_ctl(w->epoll_fd, EPOLL_CTL_MOD, conn_fd, &event) < 0 ? -errno : 0;
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

static void dispatch(Broker *b, Client *c, uint32_t events) {
        /* What it says now is for the next process, which finds it in the socket. */
        if (b->stopping && handback_will_pass_on(b, c))
                return;

        switch (c->state) {

        case CLIENT_HEAD:
                head_on_event(b, c, events);
                break;

        case CLIENT_PARKED:
                handback_on_event(b, c, events);
                break;

        case CLIENT_FLUSHING:
                flush_on_event(b, c, events);
                break;

        case CLIENT_UNCLAIMED:
                receipts_on_event(&b->receipts, c);
                break;

        case CLIENT_REFUSED:
                refusal_on_event(b, c, events);
                break;

        case CLIENT_FREE:
        case CLIENT_NEW:
        case CLIENT_QUEUED:
                break; /* it was moved on by an event before this one in the batch */
        }
}

static int on_epoll(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Watch *w = userdata;
        struct epoll_event events[BATCH_MAX];
        int n;

        n = epoll_wait(w->epoll_fd, events, BATCH_MAX, 0);
        if (n < 0)
                return errno_is_transient(-errno) || errno_is_resource(-errno) ? 0 : -errno;

        w->broker->batching = true;

        for (int i = 0; i < n; i++) {
                uint64_t token = events[i].data.u64;
                Client *c;

                if (token & TOKEN_CHANNEL)
                        channel_on_event(w->broker, (uint32_t) token);
                else if ((c = client_by_token(&w->broker->clients, token)))
                        dispatch(w->broker, c, events[i].events);
        }

        channels_flush(w->broker);
        return 0;
}
