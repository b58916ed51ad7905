/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * An embedded, circular, doubly linked list. The head is a List, and each member embeds one; its comment names the list
 * that it is for. Initialise both with list_init(). A member that is in no list points to itself, so list_remove() may
 * always be called.
 */

#include "basic/macro.h"

typedef struct List List;

struct List {
        List *prev;
        List *next;
};

static inline void list_init(List *l) {
        l->prev = l->next = l;
}

static inline bool list_is_empty(const List *l) {
        return l->next == l;
}

/* Returns whether the member @l is in a list. */
static inline bool list_is_linked(const List *l) {
        return l->next != l;
}

static inline void list_append(List *head, List *member) {
        member->prev = head->prev;
        member->next = head;
        head->prev->next = member;
        head->prev = member;
}

static inline void list_prepend(List *head, List *member) {
        list_append(head->next, member);
}

static inline void list_remove(List *member) {
        member->prev->next = member->next;
        member->next->prev = member->prev;
        list_init(member);
}

/* Returns the first member; NULL: the list is empty. */
static inline List *list_first(const List *head) {
        return list_is_empty(head) ? NULL : head->next;
}

/* Visits all members of @head. The body may remove the member @i, and no other one. */
#define LIST_FOREACH(i, head)                                                           \
        for (List *i = (head)->next, *_##i##_next = i->next; i != (head);               \
             i = _##i##_next, _##i##_next = i->next)
