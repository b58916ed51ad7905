/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A pool gives its clients to its workers: at once where one is free, from its queue later.
 *
 * At most MaxPending= handoffs wait in one worker's backlog, because those can't be taken back; the rest
 * wait here, where they may still go to another worker, or expire.
 */

#include "broker/broker.h"
#include "broker/client.h"
#include "broker/routing.h"

int pool_init(Pool *p, Routing *routing, Route *routes, size_t n_routes);
void pool_done(Pool *p);

/* Takes a new client: hands it out, queues or refuses it. */
void pool_admit(Pool *p, Client *c);

/* Takes a client that is CLIENT_QUEUED out of the queue. */
void pool_leave_queue(Client *c);

/* Lets go of the client's pool, which may end with its generation of routes. Does nothing for one without. */
void pool_release(Client *c);

/* The same as pool_admit() for one whose handoff a worker left unread: it goes before those that came later. */
void pool_readmit(Client *c);

/* Hands out what the queue holds, as far as the workers take it. */
void pool_dispatch(Pool *p);

/* Ends the waiting of everybody in the queue. */
void pool_refuse_all(Pool *p, Refusal why);

/* The same without a word, as everything ends. */
void pool_drop_all(Pool *p);

/*
 * A drained worker gets no more clients. Others of its pools take them; where there are none they wait, with their
 * deadlines as ever. What it was sent before is its own.
 */
void pool_drain_worker(Broker *b, Worker *w, bool drained);

/* Serves the queues of the pools that wait for a worker of WorkerTable.to_serve, one client of each pool in turn. */
void pool_serve(Broker *b);
