/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the epoll instance of the loop reports. An event carries a token and not a pointer, so a late event of a client finds the
 * slot empty.
 */

#include "broker/state/listener.h"
#include "event/loop.h"

/* Bits of a token beside client_token(), whose slot never has that many digits. */
#define TOKEN_LISTENER (UINT64_C(1) << 62)   /* the rest is a pointer: a listener lives as long as the broker */
#define TOKEN_PERSISTENT (UINT64_C(1) << 63) /* the rest is PersistentConn.slot */
#define TOKEN_HELPER UINT64_MAX

/* Reports clients in the backlog. A listener has to be unwatched before it is freed. Returns 0 or a negative errno. */
int watch_listener(Loop *loop, Listener *l);
void unwatch_listener(Loop *loop, Listener *l);

/* Turns a listener on or off. Returns 0, or a negative errno that is only possible if it is turned on. */
int watch_enable_listener(Loop *loop, Listener *l, bool enable);

/*
 * Reports events of @conn_fd, the connection to a worker for this client alone. It is not consumed; closing it ends the watch.
 * Edge-triggered, because its end would be reported in each turn until the helper has closed it.
 */
int watch_connection(Loop *loop, const Client *c, int conn_fd);

/* Reports the end of @conn_fd, a persistent connection that may be watched already, and with @answers the worker's answers. */
int watch_persistent(Loop *loop, uint32_t slot, int conn_fd, bool answers);
void unwatch_persistent(Loop *loop, int conn_fd);

/*
 * Reports each arrival of bytes, or of the end, on the client's socket. Edge-triggered, because nothing is consumed, so a
 * level-triggered event would be reported for ever. Returns 0 or a negative errno.
 */
int watch_client(Loop *loop, Client *c);

/* Reports room in the send buffer of a client that is not watched. */
int watch_client_for_room(Loop *loop, Client *c);

/*
 * Has to be called before the client is taken or closed: epoll watches the open file description, which the worker keeps open,
 * and would report its events for ever (epoll(7), question 6). Does nothing if the client is not watched.
 */
void unwatch_client(Loop *loop, Client *c);
