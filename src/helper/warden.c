/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "helper/warden.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "basic/fd.h"
#include "helper/lane.h"
#include "helper/line.h"

/* After so many ticks without work the warden sleeps until another thread wakes it up. */
#define WARDEN_IDLE_TICKS 10

/* In a dismissed helper, which waits only for the calls that hang, the ticks are longer. */
#define WARDEN_DISMISSED_TICK_USEC (100 * USEC_PER_MSEC)

/* The warden's notes about a lane, from one tick to the next. */
typedef struct Watched {
        uint32_t busy;  /* Lane.busy at the last tick */
        usec_t since;   /* CLOCK_MONOTONIC, when @busy got this value */
} Watched;

static bool warden_line_is_led_by(const Shared *s, uint32_t lane) {
        return atomic_load(&s->lines[lane / LANES_PER_LINE].leader) == lane;
}

/*
 * Returns whether the thread waits inside the kernel. On a busy machine it may also wait for a processor: then its
 * state is "R" (proc_pid_stat(5)), and nothing hangs.
 */
static bool warden_read_state(int tid) {
        _cleanup_close_ int fd = -EBADF;
        char path[64], text[256] = "", *p;

        (void) snprintf(path, sizeof(path), "/proc/self/task/%i/stat", tid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
                return true;

        p = strrchr(text, ')');
        return !p || p[1] != ' ' || p[2] != 'R';
}

/* Does the same, unless the loop copies the table of descriptors: then the answer is "no" until the next tick. */
static bool warden_thread_waits(Shared *s, int tid) {
        bool waits;

        atomic_store(&s->warden_has_file, 1);
        waits = !atomic_load(&s->is_copied) && warden_read_state(tid);
        atomic_store(&s->warden_has_file, 0);
        return waits;
}

/* Handles a lane that works for too long. Returns true if the lane works. */
static bool warden_look_at_lane(Shared *s, uint32_t i, Watched *w, usec_t now) {
        uint32_t busy = atomic_load(&s->lanes[i].busy);
        Lane *lane = &s->lanes[i];

        if (busy != w->busy) {
                *w = (Watched){ busy, now };
                if (atomic_exchange(&lane->stuck, 0))
                        shared_notify(s);
                return busy >= LANE_BUSY;
        }
        if (busy < LANE_BUSY)
                return false;

        if (now - w->since >= HELPER_HANG_USEC) {
                (void) syscall(SYS_tgkill, getpid(), atomic_load(&lane->tid), LANE_SIGNAL);
                if (warden_line_is_led_by(s, i))
                        (void) line_pass_on(s, &s->lines[i / LANES_PER_LINE], i);
        }
        if (now - w->since >= HELPER_STUCK_USEC && warden_thread_waits(s, atomic_load(&lane->tid)) &&
            !atomic_exchange(&lane->stuck, busy)) {
                atomic_store(&s->is_hung, 1);
                shared_notify(s);
        }
        return true;
}

static bool warden_look_at_task(Shared *s, Task *t, usec_t now) {
        uint32_t state = atomic_load(&t->state);
        usec_t began_at = atomic_load(&t->began_at);

        if ((state != TASK_STARTED && state != TASK_ABANDONED && state != TASK_CLOSING) || began_at == 0)
                return false;

        if (now - began_at < HELPER_LATE_USEC || !warden_thread_waits(s, atomic_load(&t->tid)))
                return true;

        if (!atomic_exchange(&t->is_late, 1))
                shared_notify(s);
        if (now - began_at >= HELPER_STUCK_USEC && state != TASK_STARTED &&
            atomic_exchange(&t->stuck, began_at) != began_at) {
                atomic_store(&s->is_hung, 1);
                shared_notify(s);
        }
        return true;
}

static bool warden_tick(Shared *s, Watched *watched, usec_t now) {
        bool is_working = false;

        for (uint32_t i = 0; i < LANES_MAX; i++)
                is_working |= warden_look_at_lane(s, i, &watched[i], now);
        for (size_t i = 0; i < HELPER_TASKS_MAX; i++)
                is_working |= warden_look_at_task(s, &s->tasks[i], now);
        return is_working;
}

static int warden_compare(const void *a, const void *b) {
        return *(const int *) a - *(const int *) b;
}

/* Lists the descriptors that lanes and tasks close by themselves. Returns their number. */
static size_t warden_collect(Shared *s, int *ret, size_t max) {
        size_t n = 0;

        for (size_t i = 0; i < LINES_MAX; i++) {
                CloseLine *l = &s->lines[i];

                for (uint32_t k = atomic_load(&l->head); k != atomic_load(&l->tail) && n < max; k++)
                        ret[n++] = shared_items(s, l)[k & l->mask].fd;
        }

        for (size_t i = 0; i < HELPER_TASKS_MAX && n < max; i++)
                if (atomic_load(&s->tasks[i].state) == TASK_ABANDONED)
                        ret[n++] = s->tasks[i].fd;

        return n;
}

/*
 * Closes all other descriptors. That can't hang: the loop has a copy of each, so none is the last one. None is a file
 * of FUSE, for which each close(2) may wait.
 */
static void warden_close_others(Shared *s) {
        size_t max = HELPER_TASKS_MAX, n;
        unsigned next = 0;
        int *fds;

        for (size_t i = 0; i < LINES_MAX; i++)
                max += line_length(&s->lines[i]);
        fds = calloc(max, sizeof(*fds));
        if (!fds)
                return; /* they stay open until the process ends */

        n = warden_collect(s, fds, max);
        qsort(fds, n, sizeof(*fds), warden_compare);
        for (size_t i = 0; i < n; i++) {
                if ((unsigned) fds[i] > next)
                        (void) close_range(next, (unsigned) fds[i] - 1, 0);
                next = (unsigned) fds[i] + 1;
        }
        (void) close_range(next, ~0U, 0);
        free(fds);
}

/*
 * Ends the process after the loop has taken another table of descriptors. The copies in this table are closed first.
 * Otherwise a connection would not end before the call that hangs here.
 */
static void warden_end(Shared *s, Watched *watched) __attribute__((noreturn));
static void warden_end(Shared *s, Watched *watched) {
        bool is_working = true;

        warden_close_others(s);
        atomic_store(&s->phase, PHASE_DRAINING);
        shared_wake(&s->phase);
        for (size_t i = 0; i < _HELPER_LINE_MAX; i++)
                line_wake(&s->lines[i]); /* the loop does this for its new helper only */

        while (is_working || line_length(&s->lines[HELPER_CLIENTS]) > 0 ||
               line_length(&s->lines[HELPER_CONNECTIONS]) > 0) {
                is_working = warden_tick(s, watched, usec_now());
                shared_wait(&s->warden_is_asleep, 0, WARDEN_DISMISSED_TICK_USEC);
        }

        _exit(0);
}

/* Looks once more before it sleeps, because a lane that began after the last tick has found the warden awake. */
static void warden_sleep(Shared *s, Watched *watched) {
        atomic_store(&s->warden_is_asleep, 1);
        if (!warden_tick(s, watched, usec_now()) && atomic_load(&s->phase) == PHASE_RUNNING)
                shared_wait(&s->warden_is_asleep, 1, USEC_INFINITY);
        atomic_store(&s->warden_is_asleep, 0);
}

void warden_run(Shared *s) {
        Watched watched[LANES_MAX] = {};
        unsigned n_idle = 0;

        while (atomic_load(&s->phase) != PHASE_DISMISSED) {
                n_idle = warden_tick(s, watched, usec_now()) ? 0 : n_idle + 1;
                if (atomic_load(&s->phase) == PHASE_FROZEN)
                        shared_notify(s); /* the loop checks whether all lanes wait now */

                if (n_idle < WARDEN_IDLE_TICKS)
                        shared_wait(&s->warden_is_asleep, 0, HELPER_HANG_USEC);
                else {
                        warden_sleep(s, watched);
                        n_idle = 0;
                }
        }

        warden_end(s, watched);
}
