/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Stage: clients that wait for a worker of their pool. At most MaxPending= clients are in the backlog of one worker,
 * because they can't be taken back from there. The others wait here. From here they may go to any worker, and expire.
 */

#include "broker/state/routing.h"

/*
 * Puts the client into the queue until Client.queue.expires_at. With @again it goes before clients that were not sent
 * yet. With QueueTimeoutSec=0 it waits until the end of this turn only. queue_leave() takes it out.
 */
void queue_enter(Pool *p, Client *c, bool again);
void queue_leave(Client *c);

/* Takes the first client out and returns it, or NULL if the queue is empty. */
Client *queue_pop(Pool *p);

/* Returns the first client that is due now, or NULL. It stays in the queue. */
Client *queue_next_due(Pool *p);

/* Sets the pool's timer for the first deadline or the next attempt at a worker, whichever is earlier. */
void queue_arm(Pool *p);

/* True at most once in a second. Then the queue is to be searched for clients that have left. */
bool queue_is_sweep_due(Pool *p);

/*
 * Returns a queued client that should give its place to @c, or NULL. @c has to be counted for a source.
 *
 * Each call looks at 64 clients, from the newest to older ones, and goes on where the last call ended. The result is
 * the client whose source has most clients in queues. Its source has at least two more there than the source of @c,
 * otherwise the exchange would even nothing out.
 */
Client *queue_find_greedy(Pool *p, const Client *c);
