/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Has the epoll instance of the loop report events. An event carries a token and not a pointer. So a late event of a
 * client that was freed finds no client.
 */

#include "broker/state/listener.h"
#include "event/loop.h"

/* Tokens other than client_token(), which never has these bits because there are fewer slots. */
#define TOKEN_LISTENER (UINT64_C(1) << 62)   /* the rest points to the Listener, which lives as long as the broker */
#define TOKEN_PERSISTENT (UINT64_C(1) << 63) /* the other bits are PersistentConn.slot */
#define TOKEN_RETURN (UINT64_C(1) << 61)     /* the rest points to the connection (broker/handback.c) */
#define TOKEN_HELPER UINT64_MAX
#define TOKEN_CONNECTIONS (UINT64_MAX - 1) /* the socket with the kernel's reports about connections */

/*
 * Reports clients in the backlog. Before @l is freed unwatch_listener() has to be called. Returns 0 or a negative
 * errno.
 */
int watch_listener(Loop *loop, Listener *l);
void unwatch_listener(Loop *loop, Listener *l);

/* Turns a listener on or off. Returns 0 or a negative errno. Turning off never fails. */
int watch_enable_listener(Loop *loop, Listener *l, bool enable);

/*
 * Reports once that @fd, the socket with the kernel's reports, is readable. The second function has it reported once more.
 * Both return 0 or a negative errno.
 */
int watch_connections(Loop *loop, int fd);
int watch_connections_again(Loop *loop, int fd);

/*
 * Reports events of @conn_fd, the connection to a worker for this client alone. @conn_fd is borrowed, and closing it
 * ends the watch. It is edge-triggered, because the end would be reported in each turn until the helper has closed
 * @conn_fd. Returns 0 or a negative errno.
 */
int watch_connection(Loop *loop, const Client *c, int conn_fd);

/*
 * Reports the end of @conn_fd, a persistent connection. With @answers it reports the worker's answers, too. @conn_fd
 * may be watched already. Returns 0 or a negative errno.
 */
int watch_persistent(Loop *loop, uint32_t slot, int conn_fd, bool answers);
void unwatch_connection(Loop *loop, int conn_fd);

/*
 * Reports messages on @conn_fd, on which a worker hands clients back, unless @is_off. @conn goes with the event, so it has
 * to live until the end of a turn in which the watch ends. @conn_fd may be watched already. Returns 0 or a negative errno.
 */
int watch_return(Loop *loop, const void *conn, int conn_fd, bool is_off);

/*
 * Reports when bytes or the end arrive on the client's socket. It is edge-triggered, because the bytes stay in the
 * socket, so a level-triggered event would come in each turn. Does nothing if the client is watched. Returns 0 or a
 * negative errno.
 */
int watch_client(Loop *loop, Client *c);

/* Reports when the send buffer has room. The client must not be watched. Returns 0 or a negative errno. */
int watch_client_for_room(Loop *loop, Client *c);

/*
 * Ends the watch of the client's socket. To be called before a worker gets the client or its socket is closed. epoll
 * watches the open file description (epoll(7), question 6). A worker keeps that open, so its events would come for
 * ever. Does nothing if the client is not watched.
 */
void unwatch_client(Loop *loop, Client *c);
