/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/state/waiting.h"

void waiting_init(WaitingList *list, Timer *timer) {
        list_init(&list->waits);
        list->timer = timer;
}

static void waiting_arm(WaitingList *list) {
        const Wait *first = waiting_first(list);

        if (first)
                timer_set(list->timer, first->due);
}

void waiting_add(WaitingList *list, Wait *w, usec_t due) {
        List *before = list->waits.prev;

        /* Searches from the end, because the newest deadline is mostly the latest one. */
        while (before != &list->waits && CONTAINER_OF(before, Wait, link)->due > due)
                before = before->prev;

        w->due = due;
        list_append(before->next, &w->link);
        waiting_arm(list);
}

Wait *waiting_next_due(WaitingList *list, usec_t now) {
        Wait *first = waiting_first(list);

        if (first && first->due <= now)
                return first;

        waiting_arm(list);
        return NULL;
}
