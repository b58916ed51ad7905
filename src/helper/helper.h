/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The helper makes system calls for the event loop that may wait. It is another process, and it shares the table of
 * file descriptors with the broker (clone(2), CLONE_FILES). So a descriptor has the same number in both, and a close(2)
 * in one process closes it for both. Below, "the loop" is the broker's process.
 *
 * Why a call may wait. Another process may have the same socket, and can make calls on it wait, on purpose or not:
 *
 *   close(2)       waits for SO_LINGER, for a file of FUSE, or for the mutex of an epoll instance. It also closes the
 *                  descriptors in flight inside of the socket, and waits for these.
 *   recv(2), shutdown(2), getsockopt(2) with TCP_INFO
 *                  wait for the lock of the socket. send(2) in another process holds it while it reads a page of memory
 *                  that never comes.
 *
 * No flag of these calls prevents that, and some of the waits do not even end by SIGKILL. All clients would wait with
 * the loop. So the loop makes none of these calls on such a socket, and gives the helper two kinds of work:
 *
 *   close          Any number of descriptors. helper_close() puts a descriptor into a queue.
 *   tasks          At most HELPER_TASKS_MAX at a time. A task is a function that works on one descriptor and leaves its
 *                  results in memory that the loop can read.
 *
 * The parts of the helper:
 *
 *   line           A queue of descriptors that are to be closed. There are two, see HelperLine. Both processes share
 *                  its memory.
 *   lane           A thread that closes the descriptors of a line, in order. A line has 8 lanes, and one of them leads:
 *                  only the leader takes descriptors from the line. The others are idle, and one of them can take the
 *                  lead.
 *   task           A slot with memory and a thread of its own.
 *   warden         The first thread of the helper. It looks at the other threads every 10 ms while they work.
 *
 * When a call hangs:
 *
 *   after 10 ms    (HELPER_HANG_USEC) The warden gives the lead to another lane of the line, so that the line goes on.
 *                  It also sends a signal to the lane, which ends a wait for SO_LINGER.
 *   after 100 ms   (HELPER_LATE_USEC) A task is late. The loop gives it up and goes on without its results.
 *   after 1 s      (HELPER_STUCK_USEC) The helper is replaced. The loop takes a table of descriptors of its own
 *                  (unshare(2)) and starts a new helper, which shares the new table. The old helper closes all its
 *                  other descriptors, because a connection does not end while a copy is open. It ends when the call
 *                  returns.
 *
 * Why it is a process and not a thread. The kernel keeps a process until its last thread has ended. For a broker with a
 * thread that hangs, systemd waits 61 s; with a helper that hangs, it waits 0.2 s (measured). A second thread also
 * makes each system call of the loop slower, because glibc then handles cancellation around it.
 *
 * The loop calls all functions below. Only helper_free() may wait, for up to 100 ms. Each accepts a NULL helper if its
 * comment says so. A program without a helper has only trusted peers.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "basic/macro.h"
#include "basic/time.h"

/* A lane that works on one descriptor for this long hangs: another lane takes the lead. */
#define HELPER_HANG_USEC (10 * USEC_PER_MSEC)

/* A helper is replaced if a lane, or a task that was given up, hangs for this long. */
#define HELPER_STUCK_USEC (1 * USEC_PER_SEC)

/* A task is late after this time, which begins when its thread begins. */
#define HELPER_LATE_USEC (100 * USEC_PER_MSEC)

/* Tasks at a time. */
#define HELPER_TASKS_MAX 8

typedef struct Helper Helper;

/* Works on @fd with the memory that helper_task_new() returned. Runs in the helper, at the same time as other tasks. */
typedef void (*HelperWork)(void *memory, int fd);

/* The lines. A descriptor waits for those before it in its line only. */
typedef enum HelperLine {
        HELPER_CLIENTS,     /* sockets of clients that another process has, or has had */
        HELPER_CONNECTIONS, /* AF_UNIX sockets, because descriptors of other processes may be in their queues */
        _HELPER_LINE_MAX,
} HelperLine;

/*
 * Starts a helper. @n_fds is the limit of descriptors of the process (RLIMIT_NOFILE); a line has room for as many. Each
 * task gets @memory_size bytes, and runs @work. Call it before the process has much memory, because starting the helper
 * copies the page tables. Returns 0 or a negative errno.
 */
int helper_new(size_t n_fds, size_t memory_size, HelperWork work, Helper **ret);

/* Waits up to 100 ms for descriptors that are to be closed, and kills the helper. @h may be NULL. Returns NULL. */
Helper *helper_free(Helper *h);
DEFINE_CLEANUP(Helper *, helper_free);

/*
 * Makes @epoll_fd, which is borrowed, report an event with @token when helper_dispatch() is due. A second call replaces
 * the first one. Returns 0 or a negative errno.
 */
int helper_watch(Helper *h, int epoll_fd, uint64_t token);

/*
 * Closes @fd, which is consumed, unless it is negative. @owner is a number for the peer that may be the reason if this
 * hangs; 0: none. If something hangs already that has the same @owner, the descriptor is held back until that goes on.
 * Call helper_turn() afterwards. With a NULL helper @fd is closed at once.
 */
void helper_close(Helper *h, HelperLine line, int fd, uint32_t owner);

/*
 * The same for a client's socket on which the kernel may have TLS (handoff/ktls.h). Before it is closed, close_notify is
 * sent on it.
 */
void helper_close_tls(Helper *h, int fd, uint32_t owner);

/*
 * The same as helper_close() for a descriptor that may wait, because a worker most likely has a copy that it keeps. HELPER_LATER_MAX
 * descriptors in quick succession share a wake-up of the helper, which takes longer than the call itself. They wait for
 * HELPER_LATER_USEC at most. So helper_turn() has to be called when helper_is_due() says.
 */
void helper_close_later(Helper *h, HelperLine line, int fd, uint32_t owner);

#define HELPER_LATER_MAX 16
#define HELPER_LATER_USEC (1 * USEC_PER_MSEC)

/* Returns the longest time until helper_turn() is to be called next. USEC_INFINITY for a NULL helper. */
usec_t helper_is_due(const Helper *h);

/*
 * Wakes up the lanes if descriptors were put into their lines. Starts a helper that has died again. Call it at the end
 * of each turn of the loop. @h may be NULL.
 */
void helper_turn(Helper *h);

/*
 * Returns how many descriptors wait to be closed. They are still open, so they count against RLIMIT_NOFILE. 0 for a
 * NULL helper.
 */
size_t helper_n_pending(const Helper *h);

/*
 * Returns whether a call hangs at a descriptor of @owner. A task on another descriptor of this owner would probably
 * hang too. False for a NULL helper, and for the owner 0.
 */
bool helper_hangs_at(const Helper *h, uint32_t owner);

/* Returns the memory of a free task, and its number in @ret_slot; NULL: HELPER_TASKS_MAX are under way. */
void *helper_task_new(Helper *h, unsigned *ret_slot);

/* Returns the memory of a task. */
void *helper_task_memory(Helper *h, unsigned slot);

/*
 * Starts a task of helper_task_new() on @fd. The descriptor still belongs to the caller, which must not close it before
 * the task is done.
 */
void helper_task_start(Helper *h, unsigned slot, int fd, uint32_t owner);

/* Releases a task that is done, or that was not started. */
void helper_task_free(Helper *h, unsigned slot);

/* Gives up a task that was started. Its descriptor is consumed: the helper closes it as soon as the task ends. */
void helper_task_abandon(Helper *h, unsigned slot);

typedef enum HelperEventKind {
        HELPER_NOTHING,
        HELPER_TASK_DONE,  /* a task has ended; call helper_task_free() */
        HELPER_TASK_LATE,  /* a task takes longer than HELPER_LATE_USEC; call helper_task_abandon() */
        HELPER_HANGS,      /* closing a descriptor of @owner takes longer than HELPER_STUCK_USEC */
        HELPER_GOES_ON,    /* it has ended, or a task of @owner that was given up has */
        HELPER_REPLACED,   /* a new helper was started, because something hangs in the old one */
        HELPER_RESTARTED,  /* a new helper was started, because the old one died */
        HELPER_FAILED,     /* a new helper could not be started; it is tried again later */
} HelperEventKind;

typedef struct HelperEvent {
        HelperEventKind kind;
        unsigned slot;     /* of HELPER_TASK_…: the task */
        uint32_t owner;    /* of HELPER_TASK_…, HELPER_HANGS and HELPER_GOES_ON; 0: none */
        int error;         /* of HELPER_FAILED: negative errno */
} HelperEvent;

/* Returns the next event in @ret. Call it until that is HELPER_NOTHING. */
void helper_dispatch(Helper *h, HelperEvent *ret);
