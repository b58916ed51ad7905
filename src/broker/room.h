/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Datagram workers that have no room. Their queue holds net.unix.max_dgram_qlen messages and one more (10 by default,
 * 512 where systemd has started), and what is unread is charged to the socket that sent it besides (SO_SNDBUF): to the
 * one that all such workers share, which a single worker that hangs fills for all of them. So one that has no room
 * gets a connected socket of its own meanwhile, which also tells when there is room again; a timer alone would be the
 * bottleneck.
 */

#include "broker/broker.h"

/* The worker's own socket, -EBADF where it has none. Borrowed. */
int room_fd(const Worker *w);

/* The same, and makes it where there is none. Returns a negative errno where that can't be. */
int room_open(Broker *b, Worker *w);

/*
 * There was no room a moment ago: the worker's back-off ends as soon as there is. Where that can't be found out it
 * lasts as long as it does.
 */
void room_await(Broker *b, Worker *w);

/* The worker is not needed any more, or not reachable by that socket. */
void room_forget(Worker *w);
