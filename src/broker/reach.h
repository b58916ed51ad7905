/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The way to a worker. Its path is used where only root and the broker's user can change what that leads to. Elsewhere the
 * path is walked for each connection, without following symbolic links, and the broker connects to the file at its end.
 */

#include "broker/broker.h"

/* An address to connect to. @address may point to @own, so a Reach must not be copied. */
typedef struct Reach {
        const struct sockaddr_un *address;
        socklen_t len;
        struct sockaddr_un own;
        int fd;                 /* owned; @own is valid while it is open; -EBADF: @address is the worker's path */
} Reach;

/*
 * Finds the way to @w. Returns 0, -ELOOP (a symbolic link), -ENOTSOCK, -EDEADLK (the broker listens there itself), or
 * another negative errno. reach_done() ends it in any case.
 */
int reach(Broker *b, Worker *w, Reach *ret);
void reach_done(Reach *r);

#define _cleanup_reach_ _cleanup_(reach_done)

/* Connects to @w; returns as handoff_connect_type(), or as above. */
int reach_connect(Broker *b, Worker *w, int type);

/* Adds @fd to the broker's own listening sockets, which get no client. Returns 0 or -ENOMEM. */
int reach_add_own(Broker *b, int fd);
