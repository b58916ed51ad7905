/* SPDX-License-Identifier: MIT-0 */

#include "workers/preload/idle.h"

#include <time.h>

#include "workers/preload/io.h"
#include "workers/preload/place.h"

/* Clients that are handed back before the program goes on. Others of it may have requests. */
#define BATCH_MAX 64

/* How often, and for how long each time, to wait for the broker if too many descriptors are under way (ETOOMANYREFS). */
#define TRIES_MAX 20
#define PAUSE_NSEC 1000000

atomic_bool idle_is_watching;

static struct {
        atomic_int epoll_fd;    /* where the program waits for its listener and clients */
        atomic_bool is_wanted;  /* the way back is to be added there */
        atomic_uint process;    /* forks_process(); a child may have the numbers of its parent */
} idle = { .epoll_fd = -EBADF };

/* Returns the data of our events. */
static void *idle_mark(void) {
        return &idle;
}

/* Any client may be to go. */
static void idle_note_all(void) {
        atomic_store(&follow_n_leaving, FOLLOW_LEAVING_MAX + 1);
}

void idle_watch(int listener_fd) {
        Place place;

        if (!place_is_noted(listener_fd) || !place_find(listener_fd, &place))
                return;

        atomic_store(&idle.epoll_fd, place.epoll_fd);
        atomic_store(&idle.process, forks_process());
        atomic_store(&idle.is_wanted, true);
        idle_note_all();
}

static bool idle_is_here(int epoll_fd) {
        return atomic_load(&idle.epoll_fd) == epoll_fd && atomic_load(&idle.process) == forks_process();
}

/* With EPOLLET a program that does not come to look is not woken again. */
static void idle_set_watch(int epoll_fd, int op, uint32_t events) {
        struct epoll_event event = { .events = EPOLLIN | EPOLLRDHUP | EPOLLET | events, .data.ptr = idle_mark() };
        int fd = back_watched_fd();

        if (fd >= 0 && io_real.epoll_ctl(epoll_fd, op, fd, &event) >= 0)
                atomic_store(&idle_is_watching, true);
}

/* True if the program waits for the client here until it says otherwise. Then no thread is busy with it. */
static bool idle_is_waited_for(Follow *f, int epoll_fd) {
        return atomic_load_explicit(&f->is_on, memory_order_acquire) &&
               atomic_load_explicit(&f->is_idle, memory_order_acquire) && f->has_request && f->epoll_fd == epoll_fd &&
               (f->event.events & (EPOLLIN | EPOLLONESHOT)) == EPOLLIN;
}

/* The broker has to take some descriptors first, of this worker's other processes too. */
static int idle_leave(Follow *f, int fd) {
        int r = follow_leave_idle(f, fd);

        for (int i = 0; i < TRIES_MAX && r == -ETOOMANYREFS; i++) {
                (void) nanosleep(&(struct timespec){ .tv_nsec = PAUSE_NSEC }, NULL);
                r = follow_leave_idle(f, fd);
        }

        return r;
}

/* Ends of clients, which the program gets as events. */
typedef struct IdleEvents {
        int epoll_fd;
        struct epoll_event *events;
        int n, max;
} IdleEvents;

/* Hands the client back if that is due. Returns 0, or an error after which to stop. */
static int idle_look_at(IdleEvents *e, Follow *f, int fd) {
        int r;

        if (!idle_is_waited_for(f, e->epoll_fd) || !follow_is_drained(f))
                return 0;
        if (e->n == e->max)
                return -E2BIG;

        r = idle_leave(f, fd);
        if (r > 0)
                e->events[e->n++] = (struct epoll_event){
                        .events = EPOLLIN | (f->event.events & EPOLLRDHUP),
                        .data = f->event.data,
                };
        return r < 0 ? r : 0;
}

static int idle_look_at_page(IdleEvents *e, Follow *page, int first_fd) {
        int r = 0;

        for (int i = 0; i < FOLLOW_PAGE && r == 0; i++)
                r = idle_look_at(e, &page[i], first_fd + i);
        return r;
}

static int idle_look_at_all(IdleEvents *e) {
        int r = 0;

        for (int i = 0; i < FOLLOW_PAGES && r == 0; i++) {
                Follow *page = atomic_load_explicit(&follow_pages[i], memory_order_acquire);

                if (page)
                        r = idle_look_at_page(e, page, i * FOLLOW_PAGE);
        }

        return r;
}

static int idle_look_at_noted(IdleEvents *e, unsigned n) {
        int r = 0;

        for (unsigned i = 0; i < n && r == 0; i++) {
                int fd = atomic_load(&follow_leaving[i]);
                Follow *f = follow_find(fd);

                if (f)
                        r = idle_look_at(e, f, fd);
        }

        return r;
}

/*
 * Hands clients back, and returns the number of their events. Clients that can't go now stay with the program. It looks
 * again when the broker has read, or says something new.
 */
static int idle_leave_some(int epoll_fd, struct epoll_event *events, int max) {
        IdleEvents e = { .epoll_fd = epoll_fd, .events = events, .max = max < BATCH_MAX ? max : BATCH_MAX };
        unsigned n = atomic_exchange(&follow_n_leaving, 0);
        int r = n > FOLLOW_LEAVING_MAX ? idle_look_at_all(&e) : idle_look_at_noted(&e, n);

        if (r == -E2BIG)
                idle_note_all();
        else if (r == -EAGAIN)
                idle_set_watch(epoll_fd, EPOLL_CTL_MOD, EPOLLOUT);
        return e.n;
}

int idle_work(int epoll_fd, struct epoll_event *events, int max) {
        int saved_errno = errno, n;

        if (!idle_is_here(epoll_fd) || max <= 0)
                return 0;

        if (atomic_exchange(&idle.is_wanted, false))
                idle_set_watch(epoll_fd, EPOLL_CTL_ADD, 0);

        n = idle_leave_some(epoll_fd, events, max);
        errno = saved_errno;
        return n;
}

bool idle_take_out(int epoll_fd, struct epoll_event *events, int max, int *n) {
        int saved_errno = errno, n_left = 0;

        for (int i = 0; i < *n; i++) {
                if (events[i].data.ptr != idle_mark())
                        events[n_left++] = events[i];
                else if (events[i].events & EPOLLOUT)
                        idle_set_watch(epoll_fd, EPOLL_CTL_MOD, 0);
        }
        if (n_left == *n)
                return false;

        back_look();
        idle_note_all();
        *n = n_left;
        if (idle_is_here(epoll_fd))
                *n += idle_leave_some(epoll_fd, events + n_left, max - n_left);
        errno = saved_errno;
        return *n == 0;
}

bool idle_before_register(Follow *f, int fd, const struct epoll_event *event) {
        int saved_errno = errno;
        bool is_gone;

        if (!follow_is_drained(f) || !event || !(event->events & EPOLLIN) || !f->has_request || !atomic_load(&f->is_idle))
                return false;

        is_gone = follow_leave_idle(f, fd) > 0;
        errno = saved_errno;
        return is_gone;
}
