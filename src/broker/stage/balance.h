/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Chooses the worker of a pool that gets a client. */

#include "broker/state/routing.h"

/*
 * Returns the route of the pool whose worker is to get @c now, or NULL if no worker may get a client. With @c NULL the
 * result only says whether there is one. Balance= of the pool decides:
 *
 * least-pending  the worker with the fewest pending clients for its weight; equal ones take turns
 * round-robin    all workers in turn, as often as their weights say
 * source-hash    all clients of one source go to one worker while that is ready. A new worker takes its share of the
 *                sources, and other sources keep their worker
 *
 * A route with Backup= is chosen only while all routes without it are lost (worker_is_lost()) or drained.
 */
Route *balance_pick(const Pool *p, const Client *c, usec_t now);

/* Notes that a client was sent by @route, for the next turns. */
void balance_sent(Pool *p, Route *route, usec_t now);

/*
 * True if all workers of the pool have been lost (worker_is_lost()) for at least 1 s. Then the pool's clients are
 * refused.
 */
bool balance_is_lost(const Pool *p, usec_t now);
