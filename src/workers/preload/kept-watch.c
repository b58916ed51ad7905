/* SPDX-License-Identifier: MIT-0 */

#include "workers/preload/kept-watch.h"

#include "workers/preload/io.h"
#include "workers/preload/kept.h"
#include "workers/preload/place.h"

/* Set while a door may be left (KeptDoor.is_left). */
static atomic_bool kept_watch_is_any_left;

static void kept_watch_leave(KeptDoor *d) {
        atomic_store(&d->is_left, true);
        atomic_store(&kept_watch_is_any_left, true);
}

/* The program waits with another event. */
static void kept_watch_change(Kept *k, KeptDoor *d, const struct epoll_event *event) {
        if (!kept_lock(k)) {
                kept_end(k);
                return;
        }

        d->event = *event;
        if (io_real.epoll_ctl(d->epoll_fd, EPOLL_CTL_MOD, d->event_fd, &d->event) < 0 ||
            (d == k->doors && io_real.epoll_ctl(d->epoll_fd, EPOLL_CTL_MOD, k->fd, &d->event) < 0))
                atomic_store(&k->is_ending, true);
        kept_unlock(k);
}

static void kept_watch_wait_again(Kept *k, KeptDoor *d, const struct epoll_event *event) {
        struct epoll_event wanted = kept_event(event);

        atomic_store(&d->is_left, false);
        if (wanted.events != d->event.events || wanted.data.u64 != d->event.data.u64)
                kept_watch_change(k, d, &wanted);
}

static void kept_watch_on_door(Kept *k, KeptDoor *d, int epoll_fd, int op, const struct epoll_event *event) {
        bool is_input = event && (event->events & (EPOLLIN | EPOLLONESHOT)) == EPOLLIN;

        if (d->epoll_fd == epoll_fd && op != EPOLL_CTL_DEL && is_input)
                kept_watch_wait_again(k, d, event);
        else if (d->epoll_fd == epoll_fd)
                kept_watch_leave(d);
        else if (op == EPOLL_CTL_ADD) /* it waits in a second place, where it would not see our clients */
                kept_stop(k);
}

void kept_watch_epoll(int epoll_fd, int op, int fd, const struct epoll_event *event) {
        int saved_errno = errno;

        place_note(epoll_fd, op, fd, event);
        for (size_t i = 0; i < KEPT_MAX && atomic_load(&n_kept) > 0; i++)
                for (size_t door = 0; door < 2 && atomic_load(&kept[i].is_used); door++)
                        if (kept[i].doors[door].cookie != 0 && kept[i].doors[door].listener_fd == fd)
                                kept_watch_on_door(&kept[i], &kept[i].doors[door], epoll_fd, op, event);
        errno = saved_errno;
}

static void kept_watch_end_left(int epoll_fd) {
        int saved_errno = errno;

        atomic_store(&kept_watch_is_any_left, false);
        for (size_t i = 0; i < KEPT_MAX; i++)
                for (size_t door = 0; door < 2 && atomic_load(&kept[i].is_used); door++) {
                        KeptDoor *d = &kept[i].doors[door];

                        if (d->cookie == 0 || !atomic_load(&d->is_left))
                                continue;
                        if (d->epoll_fd == epoll_fd)
                                kept_stop(&kept[i]);
                        else
                                atomic_store(&kept_watch_is_any_left, true);
                }
        errno = saved_errno;
}

void kept_watch_wait(int epoll_fd) {
        if (atomic_load_explicit(&kept_watch_is_any_left, memory_order_relaxed))
                kept_watch_end_left(epoll_fd);
}

static bool kept_watch_is_in(int fd, unsigned first, unsigned last) {
        return fd >= 0 && (unsigned) fd >= first && (unsigned) fd <= last;
}

static bool kept_watch_needs(const Kept *k, unsigned first, unsigned last) {
        bool needs = kept_watch_is_in(k->fd, first, last);

        for (size_t i = 0; i < 2 && k->doors[i].cookie != 0; i++)
                needs = needs || kept_watch_is_in(k->doors[i].listener_fd, first, last) ||
                        kept_watch_is_in(k->doors[i].epoll_fd, first, last) || kept_watch_is_in(k->doors[i].event_fd, first, last);

        return needs;
}

void kept_watch_close(unsigned first, unsigned last) {
        int saved_errno = errno;

        for (size_t i = 0; i < KEPT_MAX && atomic_load(&n_kept) > 0; i++)
                if (atomic_load(&kept[i].is_used) && kept_watch_needs(&kept[i], first, last) && kept[i].pid == getpid())
                        kept_end(&kept[i]);
        errno = saved_errno;
}
