/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Stage: clients that wait for a worker of their pool. At most MaxPending= clients are in the backlog of one worker, because they
 * can't be taken back from there. The rest waits here, and may still go to another worker, or expire.
 */

#include "broker/state/routing.h"

/*
 * Queues the client until Client.queue.expires_at. With @again it goes before clients that were not sent yet. With
 * QueueTimeoutSec=0 it waits for the end of this turn only.
 */
void queue_enter(Pool *p, Client *c, bool again);
void queue_leave(Client *c);

/* Takes the first client out, or returns NULL. */
Client *queue_pop(Pool *p);

/* A client whose time is over, which stays in the queue; or NULL. */
Client *queue_next_due(Pool *p);

/* Sets the pool's timer for the first deadline, and for the next attempt at a worker. */
void queue_arm(Pool *p);

/* Is it time to search the queue for clients that have left? At most once in a second. */
bool queue_is_sweep_due(Pool *p);

/*
 * A queued client that should give its place to @c, or NULL: of the next 64 ones, from the newest on, the one whose source has most
 * clients in queues. It has to have so many more than the source of @c that the exchange evens them out.
 */
Client *queue_find_greedy(Pool *p, const Client *c);
