/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The loop's side of the helper, for the files of this folder, and for tests. */

#include "helper/shared.h"

/* Helpers that were replaced and still hang. With more of them, a helper is not replaced. */
#define HELPER_RETIRED_MAX 16

/* A dead helper is started again at most this often. */
#define HELPER_RESTART_USEC (1 * USEC_PER_SEC)

/* Things that can hang at a time: whatever else is put into a line waits for them, if it has the same owner. */
#define HELPER_HANGING_MAX ((LANES_MAX + HELPER_TASKS_MAX) * (HELPER_RETIRED_MAX + 1))

/* More than one look can find. */
#define HELPER_EVENTS_MAX 512

typedef struct Retired {
        Shared *shared;       /* NULL: this place is free */
        int pid_fd;
        uint32_t owners[LANES_MAX + HELPER_TASKS_MAX]; /* of what hung when it was replaced */
        size_t n_owners;
} Retired;

typedef struct TaskNotes {
        bool is_late_told;
        bool is_abandoned;    /* HELPER_GOES_ON is due when its thread is done */
} TaskNotes;

struct Helper {
        Shared *shared;
        size_t n_fds;
        size_t memory_size;
        HelperWork work;
        uint32_t hanging[HELPER_HANGING_MAX];  /* owners of what hangs; each as often as something does */
        size_t n_hanging;
        bool has_process;     /* false: helper_work_here() does the work, in tests */
        int event_fd;
        int epoll_fd;         /* the loop's, for event_fd and all pidfds; -EBADF: none yet. Borrowed */
        uint64_t token;
        int pid_fd;           /* -EBADF: the helper died, and no other was started yet */
        usec_t retry_at;      /* not before this */
        bool is_to_wake;      /* something was put into a line since the last turn */
        bool is_hang_told[LANES_MAX];
        uint32_t hang_owners[LANES_MAX];
        TaskNotes tasks[HELPER_TASKS_MAX];
        Retired retired[HELPER_RETIRED_MAX];

        HelperEvent events[HELPER_EVENTS_MAX]; /* found by the last look */
        size_t n_events, n_told;
};

/* The same as helper_new() without a process: helper_work_here() closes what is in the lines, and does the tasks. */
int helper_new_here(size_t n_fds, size_t memory_size, HelperWork work, Helper **ret);
void helper_work_here(Helper *h);

/* Starts the process. Returns 0 or a negative errno. */
int helper_start(Helper *h);

/* Starts it again after a death, if the time has come. */
void helper_try_again(Helper *h);

/* Releases a helper that has ended. @pid_fd is consumed. Returns -EBADF. */
int helper_reap(const Helper *h, int pid_fd);

/* Something of this owner hangs. helper_tell() does this for HELPER_HANGS, and the opposite for HELPER_GOES_ON. */
void helper_note_hang(Helper *h, uint32_t owner);

/* Adds to what helper_dispatch() returns. */
void helper_tell(Helper *h, HelperEvent event);

/* Goes on with the replacement of a helper in which something hangs. */
void helper_replace(Helper *h);

/* A helper that was replaced has ended: what hung in it goes on. */
void helper_retired_ended(Helper *h, Retired *retired);
