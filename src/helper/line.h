/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The line of descriptors that wait to be closed: the loop's end, and that of the lane that leads. */

#include "helper/shared.h"

/* Adds an item; loop. */
void line_put(Shared *s, Line *l, Item item);

/* Wakes up the leader if it sleeps; loop. */
void line_wake(Line *l);

static inline uint32_t line_length(Line *l) {
        return atomic_load_explicit(&l->tail, memory_order_relaxed) - atomic_load_explicit(&l->head, memory_order_relaxed);
}

/* Takes the next item. False if there is none. */
bool line_take(Shared *s, Line *l, Item *ret);

/* Waits until there is an item. */
void line_sleep(Line *l);

/* Makes another lane of the line lead that is idle. False if there is none, or @leader leads no more. */
bool line_pass_on(Shared *s, Line *l, uint32_t leader);
