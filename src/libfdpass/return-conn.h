/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The return connection of this process, for all its threads (fdpass-protocol(7), HANDING BACK): a connection on which a
 * client came. Clients that came with a seal go back on it, without connect(2).
 */

#include "handoff/message.h"

/* Says that this process hands clients back. No connection is kept before, because most workers do not. */
void return_conn_want(void);

/*
 * Keeps a duplicate of @fd, on which the client of @m came, unless there is a return connection or none is wanted. Returns
 * true if it is kept: the caller closes @fd, which is no answer then.
 */
bool return_conn_keep(int fd, const Message *m);

/* Returns the connection, to wait for what the broker tells, and a number that no other one has; -EBADF: there is none. */
int return_conn_fd(uint64_t *ret_id);

/* Reads what the broker has sent. To be called when the connection is readable, or has ended. */
void return_conn_look(void);

/* True if the broker has told that the host or this worker is drained (FDPASS_TELL_DRAINED). */
bool return_conn_is_drained(void);

/*
 * Sends a client. Waits at most 100 ms, for a broker that has just been told of the connection. Returns 0, or:
 *
 *   -ENOTCONN         there is no return connection, or no longer
 *   -EAGAIN           the broker has no room
 *
 * or another error of handoff_send_message().
 */
int return_conn_send(Slice header, Slice consumed, int client_fd);
