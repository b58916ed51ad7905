/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One message of a connection that brings clients: whether it may be taken, and its answer. returned.c has its client. */

#include "broker/handback-conn.h"

/* Largest number of messages that are taken from one connection when it ends. */
#define HANDBACK_REST_MAX 1024

/*
 * Takes the next message and answers it. Returns 0, a positive condition that ends the connection, or a negative errno:
 * -EAGAIN if there is no message, or an error for which errno_is_resource() is true.
 */
int handback_message_take(ReturnConn *conn);

/*
 * Takes the messages that are left on a connection that has to end. After the shutdown its sender gets EPIPE, so the
 * sender knows that it still has the client. Messages that were sent before are all in the queue (unix(7)).
 */
void handback_message_take_rest(ReturnConn *conn);
