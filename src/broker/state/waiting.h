/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Lists with deadlines. Each stage keeps its clients in such lists, the earliest deadline first. Several lists may share one
 * timer. Nothing is allocated: a Wait is embedded in what waits.
 */

#include "basic/list.h"
#include "event/timer.h"

typedef struct Wait {
        List link;   /* WaitingList.waits */
        usec_t due;  /* CLOCK_MONOTONIC; USEC_INFINITY: never */
} Wait;

typedef struct WaitingList {
        List waits;   /* Wait.link, the earliest Wait.due first */
        Timer *timer; /* borrowed; is set for the first one */
} WaitingList;

void waiting_init(WaitingList *list, Timer *timer);

/* Puts @w, which is in no list, into @list. Equal deadlines keep the order of arrival. Sets the timer. */
void waiting_add(WaitingList *list, Wait *w, usec_t due);

/* Takes @w out of its list. Does nothing if it is in none. */
static inline void waiting_remove(Wait *w) {
        list_remove(&w->link);
}

static inline bool waiting_is_empty(const WaitingList *list) {
        return list_is_empty(&list->waits);
}

/* The one with the earliest deadline, or NULL. */
static inline Wait *waiting_first(const WaitingList *list) {
        List *l = list_first(&list->waits);

        return l ? CONTAINER_OF(l, Wait, link) : NULL;
}

/* The first one if it is due at @now. Otherwise returns NULL and sets the timer for the first one. */
Wait *waiting_next_due(WaitingList *list, usec_t now);
