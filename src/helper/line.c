/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "helper/line.h"

void line_put(Shared *s, CloseLine *l, CloseItem item) {
        uint32_t tail = atomic_load_explicit(&l->tail, memory_order_relaxed);

        shared_items(s, l)[tail & l->mask] = item;
        atomic_store(&l->tail, tail + 1);
}

void line_wake(CloseLine *l) {
        if (line_length(l) > 0 && atomic_load(&l->is_asleep) && atomic_exchange(&l->is_asleep, 0))
                shared_wake(&l->is_asleep);
}

bool line_take(Shared *s, CloseLine *l, CloseItem *ret) {
        uint32_t head = atomic_load(&l->head);

        if (head == atomic_load(&l->tail))
                return false;

        /* The item is copied first. If another lane leads meanwhile, the head has moved, and the copy is dropped. */
        *ret = shared_items(s, l)[head & l->mask];
        return atomic_compare_exchange_strong(&l->head, &head, head + 1);
}

void line_sleep(CloseLine *l) {
        /*
         * The wait is for the flag and not for @tail. If line_wake() comes between the comparison and the wait, the
         * flag is 0 already, and the wait ends at once. Only line_wake() clears the flag, otherwise a lane that leads
         * no more would clear it for the leader.
         */
        atomic_store(&l->is_asleep, 1);
        if (atomic_load(&l->tail) == atomic_load(&l->head))
                shared_wait(&l->is_asleep, 1, USEC_INFINITY);
}

bool line_pass_on(Shared *s, CloseLine *l, uint32_t leader) {
        uint32_t first = leader / LANES_PER_LINE * LANES_PER_LINE;

        for (uint32_t i = 1; i < LANES_PER_LINE; i++) {
                uint32_t next = first + (leader - first + i) % LANES_PER_LINE;

                if (atomic_load(&s->lanes[next].busy) != LANE_IDLE)
                        continue;
                if (!atomic_compare_exchange_strong(&l->leader, &leader, next))
                        return false;

                shared_wake(&l->leader);
                return true;
        }

        return false;
}
