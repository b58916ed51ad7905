/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The memory that the loop shares with its helper (MAP_SHARED), for the files of this folder. Each helper has its own: one
 * that was replaced goes on with the old memory.
 *
 * Each word has one writer at a time. The comments name it.
 */

#include <stdatomic.h>
#include <sys/types.h>

#include "helper/helper.h"

#define LANES_PER_LINE 8
#define LANES_MAX (LANES_PER_LINE * _HELPER_LINE_MAX)

/* A line without lanes, behind the others: descriptors of owners at whose other descriptors something hangs. Only the loop's. */
#define HELPER_HELD _HELPER_LINE_MAX
#define LINES_MAX (_HELPER_LINE_MAX + 1)

/* A descriptor that waits to be closed. */
typedef struct Item {
        int fd;
        uint32_t owner;
} Item;

/* A ring with one producer, the loop. Of its lanes only the leader consumes. */
typedef struct Line {
        _Alignas(64) _Atomic uint32_t head;   /* the next item; leader */
        _Alignas(64) _Atomic uint32_t tail;   /* where the next item goes; loop */
        _Alignas(64) _Atomic uint32_t leader; /* index in Shared.lanes; the leader itself, or the warden */
        _Atomic uint32_t is_asleep;           /* the leader may wait for @tail to move; set by it, cleared by the loop */
        uint32_t mask;                        /* size - 1 */
        size_t offset;                        /* of its items, in Shared */
} Line;

/* Lane.busy */
enum {
        LANE_IDLE,
        LANE_ENTERING,                        /* about to look at Shared.phase, and then to take an item */
        LANE_BUSY,                            /* values from here on: one more for each item, so that a hang shows */
};

typedef struct Lane {
        _Alignas(64) _Atomic uint32_t busy;   /* lane */
        _Atomic int tid;                      /* lane, once */
        _Atomic uint32_t owner;               /* of the item at hand; lane */
        _Atomic uint32_t stuck;               /* the value of @busy that lasts for HELPER_STUCK_USEC, or 0; warden */
} Lane;

typedef enum TaskState {
        TASK_FREE,
        TASK_TAKEN,                           /* the loop fills in its memory */
        TASK_STARTED,
        TASK_DONE,
        TASK_ABANDONED,                       /* the thread still works; it closes the descriptor afterwards */
        TASK_CLOSING,                         /* the thread closes it: from here on its number may be another descriptor's */
} TaskState;

typedef struct Task {
        _Alignas(64) _Atomic uint32_t state;
        _Atomic uint64_t began_at;            /* 0: no thread has begun; thread */
        _Atomic int tid;                      /* thread, once */
        _Atomic uint32_t is_late;             /* warden */
        _Atomic uint32_t is_stuck;            /* warden */
        int fd;
        uint32_t owner;
} Task;

typedef enum Phase {
        PHASE_RUNNING,
        PHASE_FROZEN,                         /* the lanes take no item, because the table of descriptors is about to be copied */
        PHASE_DISMISSED,                      /* the loop has another table; the lanes still wait for the warden */
        PHASE_DRAINING,                       /* the warden has closed what was in no line: the lanes close the rest, and all end */
} Phase;

typedef struct Shared {
        size_t size;                          /* of the mapping, in bytes */
        size_t memory_size;                   /* of a task */
        size_t memory_offset;                 /* of the first task's */
        HelperWork work;
        int event_fd;
        _Atomic uint32_t phase;               /* Phase; loop, and in the end the warden */
        _Atomic uint32_t is_notified;         /* @event_fd was written to, and the loop has not looked since */
        _Atomic uint32_t warden_is_asleep;
        _Atomic uint32_t is_hung;             /* the helper should be replaced; warden */
        Line lines[LINES_MAX];
        Lane lanes[LANES_MAX];                /* line i has those from i * LANES_PER_LINE on */
        Task tasks[HELPER_TASKS_MAX];
} Shared;

/* Returns a mapping with room for @n_fds items in each line, or NULL. */
Shared *shared_new(size_t n_fds, size_t memory_size, HelperWork work, int event_fd);
void shared_free(Shared *s);

static inline Item *shared_items(Shared *s, const Line *l) {
        return (Item *) (void *) ((uint8_t *) s + l->offset);
}

static inline void *shared_memory(Shared *s, size_t task) {
        return (uint8_t *) s + s->memory_offset + task * s->memory_size;
}

/* Waits for as long as *@word is @value, at most @timeout. Wakes up without a reason now and then. */
void shared_wait(_Atomic uint32_t *word, uint32_t value, usec_t timeout);
void shared_wake(_Atomic uint32_t *word);

/* Has the loop call helper_dispatch(). */
void shared_notify(Shared *s);
