/* SPDX-License-Identifier: MIT-0 */
#pragma once

/* The places where the program waits for its descriptors by epoll(7), except for followed clients (follow.h). */

#include <stdbool.h>
#include <sys/epoll.h>

typedef struct Place {
        unsigned generation;      /* of the process; another one: a parent's, or none */
        int epoll_fd;             /* -EBADF: nowhere */
        bool is_ambiguous;        /* the program waits in several instances, perhaps for another file of this number */
        struct epoll_event event; /* what it waits for there */
} Place;

/* Notes a call of epoll_ctl(2) that succeeded. */
void place_note(int epoll_fd, int op, int fd, const struct epoll_event *event);

/* False if place_find() certainly returns false. It makes no system call. */
bool place_is_noted(int fd);

/*
 * Returns true and fills in @ret if the program waits for input of @fd in one instance, and will until it says
 * otherwise (not EPOLLONESHOT).
 */
bool place_find(int fd, Place *ret);

/* Forgets all places. To be called in the child after fork(2): its parent waits in the same instances. */
void place_forget_all(void);
