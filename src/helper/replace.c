/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The replacement of a helper in which something hangs, in three steps:
 *
 *   1. Freeze. The lanes take no more items, so that no descriptor is half closed.
 *   2. Once all lanes wait or hang, the loop takes its own copy of the table of descriptors, and starts a new helper on it
 *      with the items of the old one.
 *   3. Dismiss. The old helper closes its copy of each descriptor. It ends when nothing hangs in it.
 */

#include <errno.h>
#include <fcntl.h>
#include <sched.h>

#include "helper/internal.h"
#include "helper/line.h"
#include "helper/process.h"

static Retired *replace_find_place(Helper *h) {
        for (size_t i = 0; i < ELEMENTSOF(h->retired); i++)
                if (!h->retired[i].shared)
                        return &h->retired[i];

        return NULL;
}

static void replace_set_phase(Shared *s, Phase phase) {
        atomic_store(&s->phase, phase);
        shared_wake(&s->phase);
        atomic_store(&s->warden_is_asleep, 0);
        shared_wake(&s->warden_is_asleep);
}

/* Nothing is under way but what hangs. The results of tasks were taken, because their memory goes with the old helper. */
static bool replace_is_due(Shared *s) {
        /* A lane may have gone on and begun with another item since the warden has looked: then the numbers differ. */
        for (size_t i = 0; i < LANES_MAX; i++) {
                uint32_t busy = atomic_load(&s->lanes[i].busy);

                if (busy != LANE_IDLE && busy != atomic_load(&s->lanes[i].stuck))
                        return false;
        }

        for (size_t i = 0; i < HELPER_TASKS_MAX; i++) {
                uint32_t state = atomic_load(&s->tasks[i].state);

                if (state != TASK_FREE && !((state == TASK_ABANDONED || state == TASK_CLOSING) && atomic_load(&s->tasks[i].is_stuck)))
                        return false;
        }

        return true;
}

/* Whatever hangs in the old helper is its own. GOES_ON is due for these when it has ended. */
static void replace_note_owners(Helper *h, Retired *r) {
        for (size_t i = 0; i < LANES_MAX; i++) {
                if (h->is_hang_told[i])
                        r->owners[r->n_owners++] = h->hang_owners[i];
                h->is_hang_told[i] = false;
        }

        for (size_t i = 0; i < HELPER_TASKS_MAX; i++) {
                if (h->tasks[i].is_abandoned)
                        r->owners[r->n_owners++] = r->shared->tasks[i].owner;
                h->tasks[i] = (TaskNotes){};
        }
}

/* The new table has a copy of each descriptor that was to be closed. */
static void replace_move_items(Shared *from, Shared *to) {
        for (size_t i = 0; i < LINES_MAX; i++) {
                Line *l = &from->lines[i];

                for (uint32_t k = atomic_load(&l->head); k != atomic_load(&l->tail); k++)
                        line_put(to, &to->lines[i], shared_items(from, l)[k & l->mask]);
        }

        /* A thread that has just gone on may have closed its descriptor before the table was copied. */
        for (size_t i = 0; i < HELPER_TASKS_MAX; i++) {
                const Task *t = &from->tasks[i];

                if (atomic_load(&t->state) == TASK_ABANDONED && fcntl(t->fd, F_GETFD) >= 0)
                        line_put(to, &to->lines[HELPER_CLIENTS], (Item){ t->fd, t->owner });
        }
}

static void replace_start(Helper *h, Retired *place, Shared *fresh) {
        int r;

        *place = (Retired){ .shared = h->shared, .pid_fd = h->pid_fd };
        replace_note_owners(h, place);
        replace_move_items(h->shared, fresh);

        h->shared = fresh;
        h->pid_fd = -EBADF;
        h->retry_at = usec_now() + HELPER_RESTART_USEC;
        r = helper_start(h);
        helper_tell(h, (HelperEvent){ .kind = r < 0 ? HELPER_FAILED : HELPER_REPLACED, .error = r });

        replace_set_phase(place->shared, PHASE_DISMISSED);
}

static void replace_now(Helper *h, Retired *place) {
        Shared *fresh = shared_new(h->n_fds, h->memory_size, h->work, h->event_fd);
        int r = fresh ? 0 : -ENOMEM;

        if (r >= 0 && unshare(CLONE_FILES) < 0)
                r = -errno;
        if (r >= 0) {
                replace_start(h, place, fresh);
                return;
        }

        /* The other lanes go on. The next thing that hangs makes for another attempt. */
        shared_free(fresh);
        replace_set_phase(h->shared, PHASE_RUNNING);
        helper_tell(h, (HelperEvent){ .kind = HELPER_FAILED, .error = r });
}

void helper_replace(Helper *h) {
        Retired *place = replace_find_place(h);
        Shared *s = h->shared;

        if (h->pid_fd < 0 || !place)
                return;

        if (atomic_load(&s->phase) == PHASE_RUNNING && atomic_exchange(&s->is_hung, 0))
                replace_set_phase(s, PHASE_FROZEN);
        if (atomic_load(&s->phase) == PHASE_FROZEN && replace_is_due(s))
                replace_now(h, place);
}

void helper_retired_ended(Helper *h, Retired *retired) {
        retired->pid_fd = helper_reap(h, retired->pid_fd);
        shared_free(TAKE_PTR(retired->shared));

        for (size_t i = 0; i < retired->n_owners; i++)
                helper_tell(h, (HelperEvent){ .kind = HELPER_GOES_ON, .owner = retired->owners[i] });
}
