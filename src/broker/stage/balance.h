/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Chooses the worker of a pool that a client is sent to. */

#include "broker/state/routing.h"

/*
 * A route of the pool whose worker may get @c now, or NULL. @c may be NULL, to ask whether there is any.
 *
 * least-pending  the worker with the fewest pending clients for its weight; equal ones take turns
 * round-robin    in turn, by weight
 * source-hash    all clients of a source go to one worker, as long as that is ready. A new worker takes its share of the
 *                sources; no other source moves
 *
 * Routes with Backup= are chosen only while all others are unreachable or drained.
 */
Route *balance_pick(const Pool *p, const Client *c, usec_t now);

/* Notes that a client was sent by @route, for the turns of the next ones. */
void balance_sent(Pool *p, Route *route, usec_t now);

/* True if no worker of the pool can be reached, each for at least 1 s. Then its clients are refused. */
bool balance_is_lost(const Pool *p, usec_t now);
