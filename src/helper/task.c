/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Tasks, as the loop sees them. */

#include <unistd.h>

#include "handoff/ktls.h"
#include "helper/internal.h"
#include "helper/line.h"

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
                for (CloseItem item; line_take(h->shared, &h->shared->lines[i], &item);) {
                        if (item.ends_tls)
                                (void) ktls_close_notify(item.fd, NULL);
                        (void) close(item.fd);
                }

        for (unsigned i = 0; i < HELPER_TASKS_MAX; i++) {
                Task *t = &h->shared->tasks[i];

                if (atomic_load(&t->state) != TASK_STARTED)
                        continue;

                h->work(shared_memory(h->shared, i), t->fd);
                atomic_store(&t->state, TASK_DONE);
                shared_notify(h->shared);
        }
}
