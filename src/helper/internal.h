/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The helper as the loop sees it, for the files of this folder and for tests. */

#include "helper/shared.h"

/* Replaced helpers in which something still hangs. If there are this many, the current helper is not replaced. */
#define HELPER_RETIRED_MAX 16

/* A helper that died is started again at most once in this time. */
#define HELPER_RESTART_USEC (1 * USEC_PER_SEC)

/* Calls that can hang at a time, because each has a thread. */
#define HELPER_HANGING_MAX ((LANES_MAX + HELPER_TASKS_MAX) * (HELPER_RETIRED_MAX + 1))

/* Events between two calls of helper_dispatch(). One look finds fewer. */
#define HELPER_EVENTS_MAX 512

/* A replaced helper. */
typedef struct Retired {
        Shared *shared;       /* NULL: this place is free */
        int pid_fd;
        uint32_t owners[LANES_MAX + HELPER_TASKS_MAX]; /* owners of the calls that hung when it was replaced */
        size_t n_owners;
} Retired;

/* The loop's notes about a task. */
typedef struct TaskNotes {
        bool is_late_reported; /* HELPER_TASK_LATE was sent */
        bool is_abandoned;     /* it was given up; HELPER_GOES_ON is due when its thread is done */
} TaskNotes;

struct Helper {
        Shared *shared;
        size_t n_fds;          /* as for helper_new(), for the next helper */
        size_t memory_size;    /* likewise */
        HelperWork work;       /* likewise */
        uint32_t hanging[HELPER_HANGING_MAX]; /* owners of calls that hang, one for each call */
        size_t n_hanging;
        bool has_process;      /* false: helper_work_here() does the work, in tests */
        int event_fd;          /* eventfd(2) that the helper writes to */
        int epoll_fd;          /* of helper_watch(), borrowed; -EBADF: none yet */
        uint64_t token;        /* of helper_watch() */
        int pid_fd;            /* of the process; -EBADF: it died, and no other was started yet */
        usec_t retry_at;       /* CLOCK_MONOTONIC; no helper is started again before this time */
        bool is_to_wake;       /* a line got a descriptor since the last turn */
        size_t n_later;        /* descriptors of helper_close_later() in the lines since the lanes were woken up */
        usec_t later_at;       /* CLOCK_MONOTONIC; last call of helper_close_later() */
        usec_t later_since;    /* CLOCK_MONOTONIC; first call since the lanes were woken up; valid with @n_later */
        bool is_hang_reported[LANES_MAX]; /* HELPER_HANGS was sent for this lane */
        uint32_t hang_owners[LANES_MAX];  /* the owners of these events */
        TaskNotes tasks[HELPER_TASKS_MAX];
        Retired retired[HELPER_RETIRED_MAX];

        HelperEvent events[HELPER_EVENTS_MAX]; /* events of the last look at the helper */
        size_t n_events;
        size_t n_reported;     /* those of @events that helper_dispatch() has returned */
};

/* start.c: the same as helper_new() without a process. helper_work_here() does the work. */
int helper_new_here(size_t n_fds, size_t memory_size, HelperWork work, Helper **ret);

/* task.c: closes the descriptors and does the tasks in the calling process. */
void helper_work_here(Helper *h);

/* start.c: starts the process. Returns 0 or a negative errno. */
int helper_start(Helper *h);

/* start.c: starts the process again after it died, unless that was tried within HELPER_RESTART_USEC. */
void helper_try_again(Helper *h);

/* start.c: releases a process that has ended. @pid_fd is consumed. Returns -EBADF. */
int helper_reap(const Helper *h, int pid_fd);

/* close.c: notes that a call hangs at a descriptor of this owner. helper_report() does it for HELPER_HANGS. */
void helper_note_hang(Helper *h, uint32_t owner);

/* close.c: adds an event for helper_dispatch(). HELPER_GOES_ON releases the descriptors that were held back. */
void helper_report(Helper *h, HelperEvent event);

/* replace.c: takes the next step if the helper has to be replaced. */
void helper_replace(Helper *h);

/* replace.c: a replaced helper has ended, so the calls that hung in it have returned. */
void helper_retired_ended(Helper *h, Retired *retired);
