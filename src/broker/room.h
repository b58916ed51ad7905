/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Waits until the queue of a datagram worker has room. It holds 11 messages (net.unix.max_dgram_qlen), so under load
 * it is full all the time, and a timer would be the bottleneck: 11 clients for each of its ticks.
 */

#include "broker/broker.h"

/*
 * The queue was full a moment ago: the worker's back-off ends as soon as it is not. Where that can't be found out it
 * lasts as long as it does.
 */
void room_await(Broker *b, Worker *w);

/* The worker is not needed any more, or not reachable. */
void room_forget(Worker *w);
