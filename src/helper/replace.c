/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Replaces a helper in which something hangs, in three steps:
 *
 *   1. Freeze. The lanes take no more items, so that no descriptor is half closed when the table of descriptors is
 *      copied.
 *   2. Copy. When each lane and task waits or hangs, the loop takes a table of descriptors of its own. It starts a new
 *      helper, which shares this table and gets the items of the old one.
 *   3. Dismiss. The old helper closes its copies of all descriptors. It ends when nothing hangs in it any more.
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

static void replace_set_phase(Shared *s, HelperPhase phase) {
        atomic_store(&s->phase, phase);
        shared_wake(&s->phase);
        atomic_store(&s->warden_is_asleep, 0);
        shared_wake(&s->warden_is_asleep);
}

/*
 * Returns whether all lanes and tasks wait or hang. A task whose results the loop has not read yet is not ready,
 * because its memory stays with the old helper.
 */
static bool replace_is_due(Shared *s) {
        /* If a lane works on another item since the warden has looked, the two numbers differ. */
        for (size_t i = 0; i < LANES_MAX; i++) {
                uint32_t busy = atomic_load(&s->lanes[i].busy);

                if (busy != LANE_IDLE && busy != atomic_load(&s->lanes[i].stuck))
                        return false;
        }

        for (size_t i = 0; i < HELPER_TASKS_MAX; i++) {
                uint32_t state = atomic_load(&s->tasks[i].state);
                uint64_t began_at = atomic_load(&s->tasks[i].began_at);

                if (state == TASK_FREE)
                        continue;

                /* If the thread does something else since the warden has looked, the two times differ. */
                if ((state != TASK_ABANDONED && state != TASK_CLOSING) || began_at == 0 ||
                    atomic_load(&s->tasks[i].stuck) != began_at)
                        return false;
        }

        return true;
}

/* Notes the owners of the calls that hang. When the old helper has ended, HELPER_GOES_ON is due for each of them. */
static void replace_note_owners(Helper *h, Retired *r) {
        for (size_t i = 0; i < LANES_MAX; i++) {
                if (h->is_hang_reported[i])
                        r->owners[r->n_owners++] = h->hang_owners[i];
                h->is_hang_reported[i] = false;
        }

        for (size_t i = 0; i < HELPER_TASKS_MAX; i++) {
                if (h->tasks[i].is_abandoned)
                        r->owners[r->n_owners++] = r->shared->tasks[i].owner;
                h->tasks[i] = (TaskNotes){};
        }
}

/* Moves the items to the new helper, because the new table has copies of their descriptors. */
static void replace_move_items(Shared *from, Shared *to) {
        for (size_t i = 0; i < LINES_MAX; i++) {
                CloseLine *l = &from->lines[i];

                for (uint32_t k = atomic_load(&l->head); k != atomic_load(&l->tail); k++)
                        line_put(to, &to->lines[i], shared_items(from, l)[k & l->mask]);
        }

        /* The thread of an abandoned task may have closed its descriptor just before the table was copied. */
        for (size_t i = 0; i < HELPER_TASKS_MAX; i++) {
                const Task *t = &from->tasks[i];

                if (atomic_load(&t->state) == TASK_ABANDONED && fcntl(t->fd, F_GETFD) >= 0)
                        line_put(to, &to->lines[HELPER_CLIENTS], (CloseItem){ t->fd, t->owner, false });
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
        helper_report(h, (HelperEvent){ .kind = r < 0 ? HELPER_FAILED : HELPER_REPLACED, .error = r });

        replace_set_phase(place->shared, PHASE_DISMISSED);
}

/*
 * Takes a table of descriptors of our own. The warden must not have a file open meanwhile, because its copy would stay in
 * our table. Returns 0, -EAGAIN if the warden has a file open, or another negative errno.
 */
static int replace_copy_table(Shared *s) {
        int r = 0;

        atomic_store(&s->is_copied, 1);
        if (atomic_load(&s->warden_has_file))
                r = -EAGAIN;
        else if (unshare(CLONE_FILES) < 0)
                r = -errno;

        atomic_store(&s->is_copied, 0);
        return r;
}

static void replace_now(Helper *h, Retired *place) {
        Shared *fresh = shared_new(h->n_fds, h->memory_size, h->work, h->event_fd);
        int r = fresh ? replace_copy_table(h->shared) : -ENOMEM;

        if (r >= 0) {
                replace_start(h, place, fresh);
                return;
        }

        shared_free(fresh);
        if (r == -EAGAIN)
                return; /* the warden reports again at its next tick */

        /* The old helper goes on with its other lanes. The next call that hangs causes another attempt. */
        replace_set_phase(h->shared, PHASE_RUNNING);
        helper_report(h, (HelperEvent){ .kind = HELPER_FAILED, .error = r });
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
                helper_report(h, (HelperEvent){ .kind = HELPER_GOES_ON, .owner = retired->owners[i] });
}
