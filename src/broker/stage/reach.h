/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Connects to workers. The path of a worker is used as it is if only root and the broker's user can change where it
 * leads to. Otherwise it is walked for each connection, without following symbolic links, and the broker connects to
 * the file at its end.
 */

#include "broker/state/worker.h"
#include "handoff/socket-path.h"

/*
 * Files of the sockets on which this process listens. No client must be sent to one of them, because it would come
 * back.
 */
typedef struct OwnSockets {
        FileId *files;
        size_t n;
} OwnSockets;

/* Adds the file of the listening socket @fd, which is borrowed. Returns 0 or -ENOMEM. */
int own_sockets_add(OwnSockets *own, int fd);
void own_sockets_done(OwnSockets *own);

/*
 * Connects to @w without waiting. @type is SOCK_STREAM or SOCK_SEQPACKET. Returns an owned descriptor or a negative
 * errno: -ELOOP for a symbolic link, -ENOTSOCK, -EDEADLK if the broker listens there itself, or one of
 * handoff_connect_type().
 */
int reach_connect(const OwnSockets *own, Worker *w, int type);
