/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What has happened in the helper, for the loop. */

#include <poll.h>

#include "helper/internal.h"
#include "helper/line.h"
#include "helper/process.h"

void helper_note_hang(Helper *h, uint32_t owner) {
        if (owner != 0 && h->n_hanging < ELEMENTSOF(h->hanging))
                h->hanging[h->n_hanging++] = owner;
}

/* What was held back of this owner is closed now, unless something else hangs. */
static void helper_note_release(Helper *h, uint32_t owner) {
        Line *held = &h->shared->lines[HELPER_HELD];
        uint32_t n = line_length(held);
        Item item;

        for (size_t i = 0; i < h->n_hanging; i++)
                if (h->hanging[i] == owner) {
                        h->hanging[i] = h->hanging[--h->n_hanging];
                        break;
                }

        for (; n > 0 && line_take(h->shared, held, &item); n--)
                helper_close(h, HELPER_CONNECTIONS, item.fd, item.owner);
}

void helper_tell(Helper *h, HelperEvent event) {
        if (event.kind == HELPER_HANGS)
                helper_note_hang(h, event.owner);
        else if (event.kind == HELPER_GOES_ON)
                helper_note_release(h, event.owner);

        if (h->n_events < ELEMENTSOF(h->events))
                h->events[h->n_events++] = event;
}

/* Lanes begin anew. Lines and tasks stay: a task that was started is done again. */
static void helper_died(Helper *h) {
        Shared *s = h->shared;

        h->pid_fd = helper_reap(h, h->pid_fd);
        for (size_t i = 0; i < LANES_MAX; i++) {
                if (h->is_hang_told[i])
                        helper_tell(h, (HelperEvent){ .kind = HELPER_GOES_ON, .owner = h->hang_owners[i] });
                atomic_store(&s->lanes[i].busy, LANE_IDLE);
                atomic_store(&s->lanes[i].stuck, 0);
                h->is_hang_told[i] = false;
        }
        for (uint32_t i = 0; i < _HELPER_LINE_MAX; i++) {
                atomic_store(&s->lines[i].leader, i * LANES_PER_LINE);
                atomic_store(&s->lines[i].is_asleep, 0);
        }
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

void helper_try_again(Helper *h) {
        usec_t now = usec_now();
        int r;

        if (now < h->retry_at)
                return;

        h->retry_at = now + HELPER_RESTART_USEC;
        r = helper_start(h);
        helper_tell(h, (HelperEvent){ .kind = r < 0 ? HELPER_FAILED : HELPER_RESTARTED, .error = r });
        shared_notify(h->shared);
}

static void helper_look_at_processes(Helper *h) {
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
                helper_died(h);
}

static void helper_look_at_task(Helper *h, unsigned slot) {
        Task *t = &h->shared->tasks[slot];
        TaskNotes *notes = &h->tasks[slot];
        uint32_t state = atomic_load(&t->state);

        if (notes->is_abandoned && state == TASK_FREE) {
                notes->is_abandoned = false;
                helper_tell(h, (HelperEvent){ .kind = HELPER_GOES_ON, .owner = t->owner });
        } else if (state == TASK_DONE)
                helper_tell(h, (HelperEvent){ .kind = HELPER_TASK_DONE, .slot = slot, .owner = t->owner });
        else if (state == TASK_STARTED && atomic_load(&t->is_late) && !notes->is_late_told) {
                notes->is_late_told = true;
                helper_tell(h, (HelperEvent){ .kind = HELPER_TASK_LATE, .slot = slot, .owner = t->owner });
        }
}

static void helper_look_at_lane(Helper *h, size_t i) {
        Lane *lane = &h->shared->lanes[i];
        bool is_stuck = atomic_load(&lane->stuck) != 0;

        if (is_stuck == h->is_hang_told[i])
                return;

        h->is_hang_told[i] = is_stuck;
        if (is_stuck)
                h->hang_owners[i] = atomic_load(&lane->owner);
        helper_tell(h, (HelperEvent){ .kind = is_stuck ? HELPER_HANGS : HELPER_GOES_ON, .owner = h->hang_owners[i] });
}

/* The flag is cleared first: what happens from then on is told by another event. */
static void helper_look(Helper *h) {
        atomic_store(&h->shared->is_notified, 0);

        helper_look_at_processes(h);
        for (unsigned i = 0; i < HELPER_TASKS_MAX; i++)
                helper_look_at_task(h, i);
        for (size_t i = 0; i < LANES_MAX; i++)
                helper_look_at_lane(h, i);
        helper_replace(h);
}

void helper_dispatch(Helper *h, HelperEvent *ret) {
        if (h->n_told == 0)
                helper_look(h);

        if (h->n_told < h->n_events) {
                *ret = h->events[h->n_told++];
                return;
        }

        h->n_events = h->n_told = 0;
        *ret = (HelperEvent){ .kind = HELPER_NOTHING };
}
