/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Lists that are sorted by deadline. Each stage keeps its clients in such lists. Several lists may share one timer.
 * Nothing is allocated, because a Wait is a member of the object that waits.
 */

#include "basic/list.h"
#include "event/timer.h"

typedef struct Wait {
        List link;   /* WaitingList.waits */
        usec_t due;  /* CLOCK_MONOTONIC; USEC_INFINITY: never */
} Wait;

typedef struct WaitingList {
        List waits;   /* Wait.link, the earliest Wait.due first */
        Timer *timer; /* is on for the first of @waits, or earlier; borrowed */
} WaitingList;

void waiting_init(WaitingList *list, Timer *timer);

/* Adds @w, which is in no list. Equal deadlines keep the order of arrival. Sets the timer. */
void waiting_add(WaitingList *list, Wait *w, usec_t due);

/* Takes @w out of its list. Does nothing if it is in none. */
static inline void waiting_remove(Wait *w) {
        list_remove(&w->link);
}

static inline bool waiting_is_empty(const WaitingList *list) {
        return list_is_empty(&list->waits);
}

/* Returns the Wait with the earliest deadline, or NULL. */
static inline Wait *waiting_first(const WaitingList *list) {
        List *l = list_first(&list->waits);

        return l ? CONTAINER_OF(l, Wait, link) : NULL;
}

/* Returns the first Wait if it is due at @now. Otherwise sets the timer for it and returns NULL. */
Wait *waiting_next_due(WaitingList *list, usec_t now);
