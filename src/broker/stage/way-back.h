/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Stage: connections that workers keep to hand clients back on (FDPASS_ANSWER_RETURN). They wait here until the end of
 * the turn, when handback.c takes them.
 */

#include "basic/list.h"
#include "event/loop.h"

typedef struct WayBack {
        List link;        /* WaysBack.waiting */
        int fd;           /* owned */
        uint32_t worker;  /* Worker.number */
        bool wants_drains; /* the worker is told of drains (FDPASS_RETURN_TELL) */
} WayBack;

typedef struct WaysBack {
        List waiting;     /* WayBack.link */
} WaysBack;

void ways_back_init(WaysBack *ways);

/* Adds a connection, which is consumed. Returns 0, or -ENOMEM: it is not. */
int ways_back_add(WaysBack *ways, int fd, uint32_t worker, bool wants_drains);

/* Removes a connection. Returns false if there is none. *ret_fd is owned by the caller. */
bool ways_back_take(WaysBack *ways, int *ret_fd, uint32_t *ret_worker, bool *ret_wants_drains);
