/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Return sockets: clients are handed back on them. A worker hands a client back after a request, or for another route.
 * Another broker, or an earlier process of this one, uses them, too.
 *
 * handback-conn.c has the connections, handback-message.c takes one message, and returned.c takes up its client.
 */

#include "broker/handback-conn.h"

/*
 * Takes clients from @fd, a listening AF_UNIX socket, which is consumed on success. The mode of its file says who may
 * connect. @name is the name of the listener.
 *
 * SOCK_SEQPACKET  brings messages with facts. The listener that a message names is the client's listener. Without one
 *                 it is the public listener at the address of the client's socket, or else this one.
 * SOCK_STREAM     brings one client a connection, with one byte, as httpd's mod_proxy_fdpass sends it. The sender may
 *                 have read the head of the request. So a route that asks for this listener, and for no bytes, gets the
 *                 client at once.
 *
 * Returns 0 or a negative errno.
 */
int handback_listen(Broker *b, const char *name, int fd);
void handback_done(Broker *b);

/*
 * Takes clients on the connections in Broker.ways_back, too. Each belongs to one worker, which may hand back only clients
 * that it was given (broker/state/seal.h).
 */
void handback_take_ways(Broker *b);

/*
 * Tells the workers on these connections that ask for it (FDPASS_RETURN_TELL) whether the host or the worker is drained.
 * To be called if that has changed. A worker whose socket is full is told later.
 */
void handback_tell_drains(Broker *b);

/* Takes messages on one of these connections, because the loop has an event of it (TOKEN_RETURN). */
void handback_on_event(ReturnConn *conn);

/*
 * Takes the messages that are left on all connections, and ends these. The next process accepts further connections.
 * Before this call clients are taken even while the broker stops, because a worker may wait for the answer before it
 * gives a receipt.
 */
void handback_stop(Broker *b);

/* Returns the return socket on which the next process finds clients that are handed over, or NULL. */
const Listener *handback_self(const Broker *b);
