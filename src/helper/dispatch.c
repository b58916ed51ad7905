/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Looks for what has happened in the helper, and reports it to the loop. */

#include <poll.h>

#include "helper/internal.h"

static void dispatch_reset_lanes(Helper *h) {
        Shared *s = h->shared;

        for (size_t i = 0; i < LANES_MAX; i++) {
                if (h->is_hang_reported[i])
                        helper_report(h, (HelperEvent){ .kind = HELPER_GOES_ON, .owner = h->hang_owners[i] });
                h->is_hang_reported[i] = false;
                atomic_store(&s->lanes[i].busy, LANE_IDLE);
                atomic_store(&s->lanes[i].stuck, 0);
        }
        for (uint32_t i = 0; i < _HELPER_LINE_MAX; i++) {
                atomic_store(&s->lines[i].leader, i * LANES_PER_LINE);
                atomic_store(&s->lines[i].is_asleep, 0);
        }
}

/* The lines and the tasks stay as they are. The next helper does a task that was started again. */
static void dispatch_died(Helper *h) {
        Shared *s = h->shared;

        h->pid_fd = helper_reap(h, h->pid_fd);
        dispatch_reset_lanes(h);
        for (size_t i = 0; i < HELPER_TASKS_MAX; i++) {
                uint32_t closing = TASK_CLOSING;

                atomic_store(&s->tasks[i].began_at, 0);
                (void) atomic_compare_exchange_strong(&s->tasks[i].state, &closing, TASK_FREE);
        }

        atomic_store(&s->warden_is_asleep, 0);
        atomic_store(&s->is_hung, 0);
        atomic_store(&s->phase, PHASE_RUNNING);
        helper_try_again(h);
}

static void dispatch_processes(Helper *h) {
        struct pollfd fds[HELPER_RETIRED_MAX + 1];

        for (size_t i = 0; i < HELPER_RETIRED_MAX; i++)
                fds[i] = (struct pollfd){ .fd = h->retired[i].shared ? h->retired[i].pid_fd : -1, .events = POLLIN };
        fds[HELPER_RETIRED_MAX] = (struct pollfd){ .fd = h->pid_fd, .events = POLLIN };

        if (poll(fds, ELEMENTSOF(fds), 0) <= 0)
                return;

        for (size_t i = 0; i < HELPER_RETIRED_MAX; i++)
                if (fds[i].revents != 0)
                        helper_retired_ended(h, &h->retired[i]);
        if (fds[HELPER_RETIRED_MAX].revents != 0)
                dispatch_died(h);
}

static void dispatch_task(Helper *h, unsigned slot) {
        Task *t = &h->shared->tasks[slot];
        TaskNotes *notes = &h->tasks[slot];
        uint32_t state = atomic_load(&t->state);

        if (notes->is_abandoned && state == TASK_FREE) {
                notes->is_abandoned = false;
                helper_report(h, (HelperEvent){ .kind = HELPER_GOES_ON, .owner = t->owner });
        } else if (state == TASK_DONE)
                helper_report(h, (HelperEvent){ .kind = HELPER_TASK_DONE, .slot = slot, .owner = t->owner });
        else if (state == TASK_STARTED && atomic_load(&t->is_late) && !notes->is_late_reported) {
                notes->is_late_reported = true;
                helper_report(h, (HelperEvent){ .kind = HELPER_TASK_LATE, .slot = slot, .owner = t->owner });
        }
}

static void dispatch_lane(Helper *h, size_t i) {
        Lane *lane = &h->shared->lanes[i];
        bool is_stuck = atomic_load(&lane->stuck) != 0;

        if (is_stuck == h->is_hang_reported[i])
                return;

        h->is_hang_reported[i] = is_stuck;
        if (is_stuck)
                h->hang_owners[i] = atomic_load(&lane->owner);
        helper_report(h, (HelperEvent){ .kind = is_stuck ? HELPER_HANGS : HELPER_GOES_ON, .owner = h->hang_owners[i] });
}

/* The flag is cleared first, so that anything that happens from then on causes another event. */
static void dispatch_look(Helper *h) {
        atomic_store(&h->shared->is_notified, 0);

        dispatch_processes(h);
        for (unsigned i = 0; i < HELPER_TASKS_MAX; i++)
                dispatch_task(h, i);
        for (size_t i = 0; i < LANES_MAX; i++)
                dispatch_lane(h, i);
        helper_replace(h);
}

void helper_dispatch(Helper *h, HelperEvent *ret) {
        if (h->n_reported == 0)
                dispatch_look(h);

        if (h->n_reported < h->n_events) {
                *ret = h->events[h->n_reported++];
                return;
        }

        h->n_events = h->n_reported = 0;
        *ret = (HelperEvent){ .kind = HELPER_NOTHING };
}
