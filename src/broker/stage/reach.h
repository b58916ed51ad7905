/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The way to a worker. Its path is used as it is where only root and the broker's user can change what it leads to. Elsewhere the
 * path is walked for each connection, without following symbolic links, and the broker connects to the file at its end.
 */

#include "broker/state/worker.h"
#include "handoff/socket-path.h"

/* The files of the sockets that this process listens on. A client must not be sent to one of them. */
typedef struct OwnSockets {
        FileId *files;
        size_t n;
} OwnSockets;

/* Adds the listening socket @fd, which is borrowed. Returns 0 or -ENOMEM. */
int own_sockets_add(OwnSockets *own, int fd);
void own_sockets_done(OwnSockets *own);

/*
 * Connects to @w without waiting. @type is SOCK_STREAM or SOCK_SEQPACKET. Returns an owned descriptor, or a negative errno: -ELOOP (a
 * symbolic link), -ENOTSOCK, -EDEADLK (the broker listens there itself), or as handoff_connect_type().
 */
int reach_connect(const OwnSockets *own, Worker *w, int type);
