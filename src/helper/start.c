/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Starts and ends the helper, and watches its process. */

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>

#include "basic/fd.h"
#include "helper/internal.h"
#include "helper/line.h"
#include "helper/process.h"

/* Longest wait of helper_free() for descriptors that are to be closed. */
#define HELPER_FREE_USEC (100 * USEC_PER_MSEC)

/* Adds @fd to the loop's epoll instance, if both are there. */
static int start_watch(const Helper *h, int fd, uint32_t events) {
        struct epoll_event event = { .events = events, .data.u64 = h->token };

        if (h->epoll_fd < 0 || fd < 0 || epoll_ctl(h->epoll_fd, EPOLL_CTL_ADD, fd, &event) >= 0)
                return 0;

        return -errno;
}

int helper_watch(Helper *h, int epoll_fd, uint64_t token) {
        int r;

        h->epoll_fd = epoll_fd;
        h->token = token;

        /* With EPOLLET each write(2) is an event, so the eventfd need not be read (epoll(7)). */
        r = start_watch(h, h->event_fd, EPOLLIN | EPOLLET);
        return r < 0 ? r : start_watch(h, h->pid_fd, EPOLLIN);
}

int helper_start(Helper *h) {
        int r;

        h->pid_fd = process_start(h->shared);
        if (h->pid_fd < 0)
                return h->pid_fd;

        r = start_watch(h, h->pid_fd, EPOLLIN);
        if (r < 0)
                h->pid_fd = process_kill(h->pid_fd);

        return r;
}

int helper_reap(const Helper *h, int pid_fd) {
        /*
         * A helper that was just dismissed may have a copy of @pid_fd. Then closing it does not end the watch
         * (epoll(7)).
         */
        if (h->epoll_fd >= 0 && pid_fd >= 0)
                (void) epoll_ctl(h->epoll_fd, EPOLL_CTL_DEL, pid_fd, NULL);

        return process_reap(pid_fd);
}

void helper_try_again(Helper *h) {
        usec_t now = usec_now();
        int r;

        if (now < h->retry_at)
                return;

        h->retry_at = now + HELPER_RESTART_USEC;
        r = helper_start(h);
        helper_report(h, (HelperEvent){ .kind = r < 0 ? HELPER_FAILED : HELPER_RESTARTED, .error = r });
        shared_notify(h->shared);
}

int helper_new_here(size_t n_fds, size_t memory_size, HelperWork work, Helper **ret) {
        _cleanup_(helper_freep) Helper *h = calloc(1, sizeof(*h));

        if (!h)
                return -ENOMEM;

        *h = (Helper){
                .n_fds = n_fds,
                .memory_size = memory_size,
                .work = work,
                .event_fd = -EBADF,
                .epoll_fd = -EBADF,
                .pid_fd = -EBADF,
        };

        h->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (h->event_fd < 0)
                return -errno;

        h->shared = shared_new(n_fds, memory_size, work, h->event_fd);
        if (!h->shared)
                return -ENOMEM;

        *ret = TAKE_PTR(h);
        return 0;
}

int helper_new(size_t n_fds, size_t memory_size, HelperWork work, Helper **ret) {
        _cleanup_(helper_freep) Helper *h = NULL;
        int r;

        r = helper_new_here(n_fds, memory_size, work, &h);
        if (r >= 0)
                r = helper_start(h);
        if (r < 0)
                return r;

        h->has_process = true;
        *ret = TAKE_PTR(h);
        return 0;
}

static void helper_kill_all(Helper *h) {
        (void) process_kill(h->pid_fd);

        for (size_t i = 0; i < ELEMENTSOF(h->retired); i++)
                if (h->retired[i].shared) {
                        (void) process_kill(h->retired[i].pid_fd);
                        shared_free(h->retired[i].shared);
                }
}

static bool helper_is_busy(const Helper *h) {
        for (size_t i = 0; i < LANES_MAX; i++)
                if (atomic_load(&h->shared->lanes[i].busy) != LANE_IDLE)
                        return true;

        return helper_n_pending(h) > 0;
}

Helper *helper_free(Helper *h) {
        const struct timespec pause = { .tv_nsec = 1000000 };
        usec_t end = usec_now() + HELPER_FREE_USEC;

        if (!h)
                return NULL;

        if (h->has_process) {
                helper_turn(h);
                while (helper_is_busy(h) && h->pid_fd >= 0 && usec_now() < end)
                        (void) nanosleep(&pause, NULL);
        } else if (h->shared)
                helper_work_here(h);

        helper_kill_all(h);
        shared_free(h->shared);
        fd_close(h->event_fd);
        free(h);
        return NULL;
}

void helper_turn(Helper *h) {
        if (!h)
                return;

        if (h->is_to_wake || (h->n_later > 0 && usec_now() - h->later_since >= HELPER_LATER_USEC)) {
                h->is_to_wake = false;
                h->n_later = 0;
                for (size_t i = 0; i < _HELPER_LINE_MAX; i++)
                        line_wake(&h->shared->lines[i]);
        }

        if (h->has_process && h->pid_fd < 0)
                helper_try_again(h);
}
