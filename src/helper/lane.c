/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "helper/lane.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "handoff/ktls.h"
#include "helper/line.h"

/* While a lane closes a socket with SO_LINGER, a timer of its own ends each wait after this time. */
#define LANE_TICK_NSEC 1000000

#define LANE_STACK_SIZE (256 * 1024)

static Shared *lane_shared; /* memory of this helper */

static pid_t lane_gettid(void) {
        return (pid_t) syscall(SYS_gettid);
}

/* A socket in the queue of @fd may have SO_LINGER too, which this does not see. The warden ends such a wait. */
static bool lane_lingers(int fd) {
        struct linger l = {};
        socklen_t n = sizeof(l);

        return getsockopt(fd, SOL_SOCKET, SO_LINGER, &l, &n) >= 0 && l.l_onoff && l.l_linger > 0;
}

/*
 * Closes a socket with SO_LINGER. The option stays, because a worker that still has the socket may have set it. Bytes
 * that are not sent yet are not lost: the kernel goes on sending them.
 */
static void lane_close_lingering(int fd) {
        struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = LANE_SIGNAL };
        const struct itimerspec tick = { { 0, LANE_TICK_NSEC }, { 0, LANE_TICK_NSEC } };
        timer_t timer;

        event._sigev_un._tid = lane_gettid();
        if (timer_create(CLOCK_MONOTONIC, &event, &timer) < 0) {
                (void) close(fd); /* a signal of the warden ends the wait later */
                return;
        }

        (void) timer_settime(timer, 0, &tick, NULL);
        (void) close(fd);
        (void) timer_delete(timer);
}

static void lane_close(Shared *s, uint32_t lane, int fd, bool ends_tls) {
        if (ends_tls)
                (void) ktls_close_notify(fd, NULL);

        if (!lane_lingers(fd)) {
                (void) close(fd);
                return;
        }

        (void) line_pass_on(s, &s->lines[lane / LANES_PER_LINE], lane);
        lane_close_lingering(fd);
}

static bool lane_may_take(Shared *s) {
        uint32_t phase = atomic_load(&s->phase);

        return phase == PHASE_RUNNING || phase == PHASE_DRAINING;
}

/*
 * Takes an item if the phase allows it. The lane is "entering" before it looks at the phase. Otherwise the loop could
 * take it for idle while it takes an item.
 */
static bool lane_take(Shared *s, Lane *lane, CloseLine *line, CloseItem *ret) {
        atomic_store(&lane->busy, LANE_ENTERING);
        if (!lane_may_take(s) || !line_take(s, line, ret)) {
                atomic_store(&lane->busy, LANE_IDLE);
                return false;
        }

        return true;
}

static void lane_wait(Shared *s, CloseLine *line) {
        uint32_t phase = atomic_load(&s->phase);

        if (phase == PHASE_FROZEN || phase == PHASE_DISMISSED)
                shared_wait(&s->phase, phase, USEC_INFINITY);
        else if (line_length(line) == 0)
                line_sleep(line);
}

static void lane_wake_warden(Shared *s) {
        if (atomic_load(&s->warden_is_asleep) && atomic_exchange(&s->warden_is_asleep, 0))
                shared_wake(&s->warden_is_asleep);
}

static void *lane_run(void *arg) {
        uint32_t me = (uint32_t) (uintptr_t) arg, leader, n = LANE_BUSY;
        Shared *s = lane_shared;
        CloseLine *line = &s->lines[me / LANES_PER_LINE];
        Lane *lane = &s->lanes[me];
        CloseItem item;

        (void) prctl(PR_SET_NAME, "fdpass-closer");
        atomic_store(&lane->tid, lane_gettid());

        for (;;) {
                leader = atomic_load(&line->leader);
                if (leader != me)
                        shared_wait(&line->leader, leader, USEC_INFINITY);
                else if (!lane_take(s, lane, line, &item))
                        lane_wait(s, line);
                else {
                        atomic_store(&lane->owner, item.owner);
                        atomic_store(&lane->busy, n);
                        n = n == UINT32_MAX ? LANE_BUSY : n + 1;
                        lane_wake_warden(s);
                        lane_close(s, me, item.fd, item.ends_tls);
                        atomic_store(&lane->busy, LANE_IDLE);
                }
        }

        return NULL;
}

static void lane_end_abandoned(Task *t) {
        atomic_store(&t->began_at, usec_now());
        atomic_store(&t->state, TASK_CLOSING);
        if (lane_lingers(t->fd))
                lane_close_lingering(t->fd);
        else
                (void) close(t->fd);

        atomic_store(&t->began_at, 0);
        atomic_store(&t->state, TASK_FREE);
}

static void lane_do_task(Shared *s, Task *t) {
        uint32_t started = TASK_STARTED;

        atomic_store(&t->is_late, 0);
        atomic_store(&t->began_at, usec_now());
        lane_wake_warden(s);
        s->work(shared_memory(s, (size_t) (t - s->tasks)), t->fd);

        /* This comes before TASK_DONE, because then the loop may start the next task with this memory at once. */
        atomic_store(&t->began_at, 0);
        if (!atomic_compare_exchange_strong(&t->state, &started, TASK_DONE))
                lane_end_abandoned(t);

        shared_notify(s);
}

static void *lane_run_tasks(void *arg) {
        Shared *s = lane_shared;
        Task *t = arg;

        (void) prctl(PR_SET_NAME, "fdpass-task");
        atomic_store(&t->tid, lane_gettid());
        for (;;) {
                uint32_t state = atomic_load(&t->state);

                if (state == TASK_STARTED)
                        lane_do_task(s, t);
                else if (state == TASK_ABANDONED) /* left by a helper that died */
                        lane_end_abandoned(t);
                else
                        shared_wait(&t->state, state, USEC_INFINITY);
        }

        return NULL;
}

static void lane_on_signal(int signo) {
}

int lanes_start(Shared *s) {
        /* Without SA_RESTART, because a call would go on waiting with it (signal(7)). */
        const struct sigaction action = { .sa_handler = lane_on_signal };
        pthread_attr_t attr;
        pthread_t thread;
        sigset_t mask;
        int r;

        lane_shared = s;
        (void) sigfillset(&mask);
        (void) sigdelset(&mask, LANE_SIGNAL);
        if (sigprocmask(SIG_SETMASK, &mask, NULL) < 0 || sigaction(LANE_SIGNAL, &action, NULL) < 0)
                return -errno;

        (void) pthread_attr_init(&attr);
        r = pthread_attr_setstacksize(&attr, LANE_STACK_SIZE);
        for (uintptr_t i = 0; r == 0 && i < LANES_MAX; i++)
                r = pthread_create(&thread, &attr, lane_run, (void *) i);
        for (size_t i = 0; r == 0 && i < HELPER_TASKS_MAX; i++)
                r = pthread_create(&thread, &attr, lane_run_tasks, &s->tasks[i]);

        (void) pthread_attr_destroy(&attr);
        return -r;
}
