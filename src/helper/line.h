/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The queue of descriptors that wait to be closed: the loop's end, and the end of the lane that leads. */

#include "helper/shared.h"

/* Adds an item. Called by the loop. A line is never full, because it has room for all descriptors of the process. */
void line_put(Shared *s, CloseLine *l, CloseItem item);

/* Wakes up the leader if it sleeps and there is an item. Called by the loop. */
void line_wake(CloseLine *l);

/* Returns how many items the line has. */
static inline uint32_t line_length(CloseLine *l) {
        uint32_t tail = atomic_load_explicit(&l->tail, memory_order_relaxed);

        return tail - atomic_load_explicit(&l->head, memory_order_relaxed);
}

/* Takes the next item. Returns false if there is none, or another lane has taken the lead. Called by the leader. */
bool line_take(Shared *s, CloseLine *l, CloseItem *ret);

/* Waits until there is an item. May return early. Called by the leader. */
void line_sleep(CloseLine *l);

/* Gives the lead to an idle lane of the line. Returns false if there is none, or @leader does not lead any more. */
bool line_pass_on(Shared *s, CloseLine *l, uint32_t leader);
