/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Return sockets: clients that come back from a worker that is done with a request or passes the client to another route, from a
 * broker before this one, or from the process before this one.
 */

#include "broker/core.h"

/*
 * Takes clients from @fd, a listening AF_UNIX socket, which is consumed on success. The mode of its file says who may connect. Each
 * socket is a listener of its own, by its @name.
 *
 *   SOCK_SEQPACKET  brings messages. A client counts for this listener if its message names no other one.
 *   SOCK_STREAM     brings one client a connection, with one byte, as httpd's mod_proxy_fdpass sends it. The sender may have read
 *                   the head of the request. So a route that names this listener, and asks for no bytes, gets the client at once.
 *
 * Returns 0 or a negative errno.
 */
int handback_listen(Broker *b, const char *name, int fd);
void handback_done(Broker *b);

/*
 * Takes what was sent on the connections that are there, and no more: the next process accepts further ones. Until this is called
 * clients are also taken while the broker stops, because a worker may wait for the answer before it gives a receipt.
 */
void handback_stop(Broker *b);

/* Messages that are taken from one connection when it is emptied. */
#define HANDBACK_REST_MAX 1024

/* The return socket on which the next process finds clients that are handed over, or NULL. */
const Listener *handback_self(const Broker *b);
