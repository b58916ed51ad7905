/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Clients that come back: from a worker that is done with a request, or passes the client on to another route; from
 * a broker before this one; from the process that ran here before, which handed over what it still held.
 *
 * One without the name of a route is parked: it waits for its next bytes, which are routed afresh.
 */

#include "broker/broker.h"

/*
 * Takes clients from @fd, a listening AF_UNIX socket, which is consumed on success. Who may connect is the matter of
 * its file's mode. Each socket is a listener of its own, by its @name:
 *
 *   SOCK_SEQPACKET  brings messages. One that doesn't say by which of our listeners its client came counts for this.
 *   SOCK_STREAM     brings one client a connection, with the one byte that tells nothing of it, as httpd's
 *                   mod_proxy_fdpass sends it. The head of its request may have been read by the sender, so a route
 *                   that names the listener and asks for no bytes gets it at once, whatever other routes ask for.
 */
int handback_listen(Broker *b, const char *name, int fd);

void handback_done(Broker *b);

/*
 * Takes what was sent on the connections that are there, and no more: further ones wait for the next process. Until
 * then clients are taken while the broker stops, too, and held for the next process: their workers may wait for the
 * answer, and others' receipts for that.
 */
void handback_stop(Broker *b);

/* Messages that are taken from one connection at most when it is emptied. */
#define HANDBACK_REST_MAX 1024

/* The return socket where the next process finds what is left to it; NULL: there is none. */
Listener *handback_self(const Broker *b);
