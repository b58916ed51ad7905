/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * How the broker reaches a worker: by its path where nobody but root and the broker can change what is there, else by the
 * file that is opened on the way, without following symbolic links, for each connection.
 */

#include "broker/broker.h"

/* Where to connect to. It may point into itself, so it is not to be copied. */
typedef struct Reach {
        const struct sockaddr_un *address;
        socklen_t len;
        struct sockaddr_un own;
        int fd;                 /* keeps @own valid; -EBADF: it is the worker's path */
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

/* No client is handed to @fd, a listening socket of this broker. Returns 0 or -ENOMEM. */
int reach_add_own(Broker *b, int fd);
