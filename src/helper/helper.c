/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "helper/internal.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "basic/fd.h"
#include "helper/lane.h"
#include "helper/line.h"
#include "helper/process.h"

/* Longest wait of helper_free() for descriptors that are to be closed. */
#define HELPER_FREE_USEC (100 * USEC_PER_MSEC)

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

        if (h->is_to_wake) {
                h->is_to_wake = false;
                for (size_t i = 0; i < _HELPER_LINE_MAX; i++)
                        line_wake(&h->shared->lines[i]);
        }

        if (h->has_process && h->pid_fd < 0)
                helper_try_again(h);
}

void *helper_task_new(Helper *h, unsigned *ret_slot) {
        if (atomic_load(&h->shared->phase) != PHASE_RUNNING)
                return NULL;

        for (unsigned i = 0; i < HELPER_TASKS_MAX; i++)
                if (atomic_load(&h->shared->tasks[i].state) == TASK_FREE && !h->tasks[i].is_abandoned) {
                        atomic_store(&h->shared->tasks[i].state, TASK_TAKEN);
                        *ret_slot = i;
                        return shared_memory(h->shared, i);
                }

        return NULL;
}

void *helper_task_memory(Helper *h, unsigned slot) {
        return shared_memory(h->shared, slot);
}

void helper_task_start(Helper *h, unsigned slot, int fd, uint32_t owner) {
        Task *t = &h->shared->tasks[slot];

        t->fd = fd;
        t->owner = owner;
        h->tasks[slot] = (TaskNotes){};
        atomic_store(&t->state, TASK_STARTED);
        shared_wake(&t->state);
}

void helper_task_free(Helper *h, unsigned slot) {
        atomic_store(&h->shared->tasks[slot].state, TASK_FREE);
}

void helper_task_abandon(Helper *h, unsigned slot) {
        Task *t = &h->shared->tasks[slot];
        uint32_t started = TASK_STARTED;

        h->tasks[slot].is_abandoned = true;
        if (atomic_compare_exchange_strong(&t->state, &started, TASK_ABANDONED)) {
                helper_note_hang(h, t->owner);
                return;
        }

        /* The task has ended meanwhile. */
        helper_close(h, HELPER_CLIENTS, t->fd, t->owner);
        helper_task_free(h, slot);
}

void helper_work_here(Helper *h) {
        for (size_t i = 0; i < LINES_MAX; i++)
                for (CloseItem item; line_take(h->shared, &h->shared->lines[i], &item);)
                        (void) close(item.fd);

        for (unsigned i = 0; i < HELPER_TASKS_MAX; i++) {
                Task *t = &h->shared->tasks[i];

                if (atomic_load(&t->state) != TASK_STARTED)
                        continue;

                h->work(shared_memory(h->shared, i), t->fd);
                atomic_store(&t->state, TASK_DONE);
                shared_notify(h->shared);
        }
}
