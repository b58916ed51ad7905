/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which worker of a pool a client goes to. */

#include "broker/client.h"
#include "broker/routing.h"

/*
 * A route of the pool whose worker may have a client now, or NULL. With Balance=source-hash it depends on where
 * @c comes from; @c may be NULL to ask whether there is any.
 *
 * least-pending   the fewest clients without a receipt, for its weight; equal ones take turns
 * round-robin       in turn, by weight
 * source-hash       one source, one worker, for as long as that is ready; a worker that is added takes over
 *                   its share of the sources, and no other moves
 *
 * Routes with Backup= get clients only while no other one of the pool can be reached, or all others are drained.
 */
Route *balance_pick(const Pool *p, const Client *c, usec_t now);

/* The worker took the client: the next one's turn. */
void balance_taken(Pool *p, Route *route, usec_t now);
