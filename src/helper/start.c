/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Starts the helper's process, and watches it. */

#include <errno.h>
#include <sys/epoll.h>

#include "helper/internal.h"
#include "helper/process.h"

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
