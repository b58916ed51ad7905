/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/room.h"

#include <sys/epoll.h>

#include "basic/fd.h"
#include "broker/pool.h"
#include "broker/reach.h"
#include "broker/routing.h"

static int on_room(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Worker *w = userdata;
        List *first = list_first(&w->waiting);

        /* Its socket was replaced by another: the timer of the pool tries that one. */
        if (revents & (EPOLLERR | EPOLLHUP)) {
                room_forget(w);
                return 0;
        }

        worker_recovered(w);
        if (!first)
                return 0;

        worker_serve_later(&CONTAINER_OF(first, Route, waiting_link)->pool->broker->workers, w);
        return 0;
}

/* A connected datagram socket is writable when it and its peer's queue have room (unix_dgram_poll() in the kernel). */
static int begin(Broker *b, Worker *w) {
        _cleanup_close_ int fd = -EBADF;
        int r;

        fd = reach_connect(b, w, SOCK_DGRAM);
        if (fd < 0)
                return fd;

        r = sd_event_add_io(b->event, &w->room, fd, EPOLLOUT, on_room, w);
        if (r < 0)
                return r;

        (void) sd_event_source_set_io_fd_own(w->room, true);
        (void) TAKE_FD(fd);
        return sd_event_source_set_enabled(w->room, SD_EVENT_OFF);
}

int room_fd(const Worker *w) {
        return w->room ? sd_event_source_get_io_fd(w->room) : -EBADF;
}

int room_open(Broker *b, Worker *w) {
        int r = w->room ? 0 : begin(b, w);

        return r < 0 ? r : room_fd(w);
}

void room_await(Broker *b, Worker *w) {
        if (room_open(b, w) < 0)
                return;

        (void) sd_event_source_set_enabled(w->room, SD_EVENT_ONESHOT);
}

void room_forget(Worker *w) {
        w->room = sd_event_source_disable_unref(w->room);
}
