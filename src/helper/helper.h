/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The helper: a process that shares the table of descriptors with the event loop and makes the calls that may wait.
 *
 * Another process that holds a socket can make calls of the loop on the same socket wait: close(2) by SO_LINGER, by FUSE, by
 * the mutex of an epoll instance, or by sockets in flight inside the socket; getsockopt(TCP_INFO), recv(2) and shutdown(2) by
 * the lock of the socket, which send(2) holds while it reads a page that never comes. No flag keeps them from it, and
 * SIGKILL does not end some of these waits. So the loop makes no such call. It gives the helper two kinds of work:
 *
 *   descriptors to close   any number. A lane (a thread) closes them in order. Another lane goes on when one hangs.
 *   tasks                  a few at a time: a function that works on one descriptor and leaves its results in shared memory.
 *
 * The helper is a process and not a thread, because the kernel keeps the whole process until its last thread has ended:
 * systemd waits 61 s for a broker with one thread that hangs, and 0.2 s for one with a helper that hangs. A second thread
 * also makes each system call of the loop dearer (glibc's cancellation points).
 *
 * A helper with a lane that hangs for HELPER_STUCK_USEC is replaced: the loop takes a table of descriptors of its own
 * (unshare(2), CLONE_FILES) and starts a new helper on it. The old one closes its copies of all descriptors and ends with the
 * lane that hangs. So it keeps no descriptor open but the one that it hangs at.
 *
 * All functions are the loop's and do not wait. A NULL helper is allowed, for programs without hostile peers: descriptors are
 * closed at once, and there are no tasks.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "basic/macro.h"
#include "basic/time.h"

/* A lane is passed over after this time, and its helper is replaced after the second one. */
#define HELPER_HANG_USEC (10 * USEC_PER_MSEC)
#define HELPER_STUCK_USEC (1 * USEC_PER_SEC)

/* A task that takes longer is late. Its time begins when its thread begins. */
#define HELPER_LATE_USEC (100 * USEC_PER_MSEC)

/* Tasks at a time. */
#define HELPER_TASKS_MAX 8

typedef struct Helper Helper;

/* Works on @fd with the memory that helper_task_new() returned. Runs in the helper, in one of several threads. */
typedef void (*HelperWork)(void *memory, int fd);

/* Descriptors of one line wait for each other only, and those of an owner at whose descriptor something hangs, for that. */
typedef enum HelperLine {
        HELPER_CLIENTS,     /* sockets of clients that another process holds or has held */
        HELPER_CONNECTIONS, /* AF_UNIX sockets, whose queues may hold descriptors of others */
        _HELPER_LINE_MAX,
} HelperLine;

/*
 * Starts a helper. @n_fds is the limit of descriptors of the process (RLIMIT_NOFILE); each task gets @memory_size bytes.
 * Call it before the process has much memory, because starting copies the page tables. Returns 0 or a negative errno.
 */
int helper_new(size_t n_fds, size_t memory_size, HelperWork work, Helper **ret);

/* Waits up to 100 ms for descriptors that wait to be closed, and ends the helper. */
Helper *helper_free(Helper *h);
DEFINE_CLEANUP(Helper *, helper_free);

/*
 * Has @epoll_fd, which is borrowed, tell by events with @token that helper_dispatch() is due. Another call takes the place of
 * this one. Returns 0 or a negative errno.
 */
int helper_watch(Helper *h, int epoll_fd, uint64_t token);

/*
 * Closes @fd, which is consumed. @owner names the worker that may be the reason if this hangs; 0: none. Call helper_turn()
 * afterwards.
 */
void helper_close(Helper *h, HelperLine line, int fd, uint32_t owner);

/* Ends a turn of the loop: wakes up the lanes for what was put into the lines. */
void helper_turn(Helper *h);

/* Descriptors that wait to be closed. They are open, and count against RLIMIT_NOFILE. */
size_t helper_n_pending(const Helper *h);

/* Does something hang at a descriptor of this owner? Then a task on another one would hang as well. */
bool helper_hangs_at(const Helper *h, uint32_t owner);

/* Returns the memory for a task, and its number in @ret_slot; NULL if HELPER_TASKS_MAX are under way. */
void *helper_task_new(Helper *h, unsigned *ret_slot);

/* The memory of a task. */
void *helper_task_memory(Helper *h, unsigned slot);

/* Starts it. The descriptor stays the caller's until helper_task_abandon(). */
void helper_task_start(Helper *h, unsigned slot, int fd, uint32_t owner);

/* Gives the memory of a task back that has ended, or was not started. */
void helper_task_free(Helper *h, unsigned slot);

/* Gives up a task that was started. The helper closes its descriptor as soon as it can. */
void helper_task_abandon(Helper *h, unsigned slot);

typedef enum HelperEventKind {
        HELPER_NOTHING,
        HELPER_TASK_DONE,  /* call helper_task_free() */
        HELPER_TASK_LATE,  /* call helper_task_abandon() */
        HELPER_HANGS,      /* closing a descriptor of this owner hangs */
        HELPER_GOES_ON,    /* … not any more */
        HELPER_REPLACED,   /* by a new helper, because something hangs in the old one */
        HELPER_RESTARTED,  /* by a new helper, because the old one died */
        HELPER_FAILED,     /* no new helper could be started: @error. Nothing is closed until this is tried again. */
} HelperEventKind;

typedef struct HelperEvent {
        HelperEventKind kind;
        unsigned slot;
        uint32_t owner;
        int error;
} HelperEvent;

/* Returns the next thing that happened in @ret, until it is HELPER_NOTHING. */
void helper_dispatch(Helper *h, HelperEvent *ret);
