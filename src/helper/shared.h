/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The memory that the loop shares with one helper (mmap(2), MAP_SHARED), for the files of this folder. A new helper
 * gets new memory, and a replaced one goes on with the old.
 *
 * Each word has one writer at a time, which its comment names: the loop, a lane, a task's thread, or the warden.
 */

#include <stdatomic.h>
#include <sys/types.h>

#include "helper/helper.h"

#define LANES_PER_LINE 8
#define LANES_MAX (LANES_PER_LINE * _HELPER_LINE_MAX)

/*
 * One more line, without lanes. It holds descriptors back whose owner has another one that hangs. Only the loop uses
 * it.
 */
#define HELPER_HELD _HELPER_LINE_MAX
#define LINES_MAX (_HELPER_LINE_MAX + 1)

/* A descriptor that waits to be closed. */
typedef struct CloseItem {
        int fd;
        uint32_t owner;
        bool ends_tls; /* close_notify is sent before (helper_close_tls()) */
} CloseItem;

/* A ring. The loop puts items in, and the leader of the line takes them out. */
typedef struct CloseLine {
        _Alignas(64) _Atomic uint32_t head;   /* number of the next item to take; leader */
        _Alignas(64) _Atomic uint32_t tail;   /* number of the next item to put in; loop */
        _Alignas(64) _Atomic uint32_t leader; /* index of a lane in Shared.lanes; the leader or the warden */
        _Atomic uint32_t is_asleep;           /* the leader waits for an item; set by the leader, cleared by the loop */
        uint32_t mask;                        /* size - 1; the size is a power of two */
        size_t offset;                        /* of the items, from the start of Shared; bytes */
} CloseLine;

/* Values of Lane.busy. */
enum {
        LANE_IDLE,
        LANE_ENTERING,                        /* is about to look at Shared.phase and to take an item */
        LANE_BUSY,                            /* works on an item; one more for each next one, so that a hang shows */
};

typedef struct Lane {
        _Alignas(64) _Atomic uint32_t busy;   /* LANE_…; lane */
        _Atomic int tid;                      /* thread id, set once; lane */
        _Atomic uint32_t owner;               /* of the item that it works on; lane */
        _Atomic uint32_t stuck;               /* value of @busy for HELPER_STUCK_USEC; 0: it does not hang; warden */
} Lane;

typedef enum TaskState {
        TASK_FREE,
        TASK_TAKEN,                           /* the loop writes its memory */
        TASK_STARTED,                         /* the thread works */
        TASK_DONE,                            /* the loop reads its memory */
        TASK_ABANDONED,                       /* the thread still works, and closes the descriptor afterwards */
        TASK_CLOSING,                         /* the thread closes it: its number may be another descriptor's now */
} TaskState;

typedef struct Task {
        _Alignas(64) _Atomic uint32_t state;  /* TaskState; loop and thread in turn */
        _Atomic uint64_t began_at;            /* CLOCK_MONOTONIC, when the thread began; 0: it does not work; thread */
        _Atomic int tid;                      /* thread id, set once; thread */
        _Atomic uint32_t is_late;             /* it takes longer than HELPER_LATE_USEC; warden */
        _Atomic uint64_t stuck;               /* @began_at of work that takes longer than HELPER_STUCK_USEC; warden */
        int fd;                               /* loop */
        uint32_t owner;                       /* loop */
} Task;

/* Phases of a helper's life. See replace.c. */
typedef enum HelperPhase {
        PHASE_RUNNING,
        PHASE_FROZEN,                         /* lanes take no item: the table of descriptors is about to be copied */
        PHASE_DISMISSED,                      /* the loop has another table; the warden closes what is in no line */
        PHASE_DRAINING,                       /* the lanes close the items of their lines, and then the process ends */
} HelperPhase;

typedef struct Shared {
        size_t size;                          /* of this memory; bytes */
        size_t memory_size;                   /* of the memory of a task; bytes */
        size_t memory_offset;                 /* of the memory of the first task, from the start of Shared; bytes */
        HelperWork work;
        int event_fd;                         /* of the loop */
        _Atomic uint32_t phase;               /* HelperPhase; loop, PHASE_DRAINING: warden */
        _Atomic uint32_t is_notified;         /* @event_fd was written to, and the loop has not looked since */
        _Atomic uint32_t warden_is_asleep;    /* set by the warden, cleared by the thread that wakes it up */
        _Atomic uint32_t is_hung;             /* something hangs; set by the warden, cleared by the loop */
        _Atomic uint32_t warden_has_file;     /* the warden has a descriptor of its own open; warden */
        _Atomic uint32_t is_copied;           /* the loop takes a table of its own, and no descriptor may be opened; loop */
        CloseLine lines[LINES_MAX];
        Lane lanes[LANES_MAX];                /* line i has the lanes from i * LANES_PER_LINE on */
        Task tasks[HELPER_TASKS_MAX];
} Shared;

/*
 * Maps the memory. Each line has room for @n_fds items, each task for @memory_size bytes. @event_fd is borrowed.
 * Returns NULL without memory.
 */
Shared *shared_new(size_t n_fds, size_t memory_size, HelperWork work, int event_fd);
void shared_free(Shared *s);

static inline CloseItem *shared_items(Shared *s, const CloseLine *l) {
        return (CloseItem *) (void *) ((uint8_t *) s + l->offset);
}

static inline void *shared_memory(Shared *s, size_t task) {
        return (uint8_t *) s + s->memory_offset + task * s->memory_size;
}

/* Waits while *@word is @value, at most @timeout µs. May return early (futex(2)), so the caller checks again. */
void shared_wait(_Atomic uint32_t *word, uint32_t value, usec_t timeout);

/* Wakes up all threads that wait for @word. */
void shared_wake(_Atomic uint32_t *word);

/* Makes the loop call helper_dispatch(). */
void shared_notify(Shared *s);
