/* SPDX-License-Identifier: MIT-0 */

#include "workers/preload/place.h"

#include <errno.h>
#include <stddef.h>

#include "workers/preload/io.h"

/* Listeners have low numbers, because programs open them when they start. */
#define PLACES_MAX 1024

static Place places[PLACES_MAX];
static unsigned generation = 1;

/* A number that is added while it is in another instance may be another file, because close() ends that silently. */
static void place_add(Place *p, int epoll_fd, const struct epoll_event *event) {
        bool is_known = p->generation == generation && p->epoll_fd >= 0;

        p->is_ambiguous = is_known && (p->is_ambiguous || p->epoll_fd != epoll_fd);
        p->generation = generation;
        p->epoll_fd = epoll_fd;
        p->event = *event;
}

void place_note(int epoll_fd, int op, int fd, const struct epoll_event *event) {
        if (fd < 0 || fd >= PLACES_MAX)
                return;

        if (op == EPOLL_CTL_DEL)
                places[fd].epoll_fd = -EBADF;
        else if (event)
                place_add(&places[fd], epoll_fd, event);
}

/* Adding it a second time fails with EEXIST if the program still waits there. */
static bool place_is_true(const Place *p, int fd) {
        struct epoll_event event = p->event;

        if (io_real.epoll_ctl(p->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
                return errno == EEXIST;

        (void) io_real.epoll_ctl(p->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        return false;
}

bool place_is_noted(int fd) {
        const Place *p = fd >= 0 && fd < PLACES_MAX ? &places[fd] : NULL;

        return p && p->generation == generation && p->epoll_fd >= 0 && !p->is_ambiguous &&
               (p->event.events & (EPOLLIN | EPOLLONESHOT)) == EPOLLIN;
}

bool place_find(int fd, Place *ret) {
        if (!place_is_noted(fd))
                return false;

        *ret = places[fd];
        return place_is_true(ret, fd);
}

void place_forget_all(void) {
        generation++;
}
