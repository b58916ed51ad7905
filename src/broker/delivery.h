/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Delivery: moves a client from its pool to a worker, or into the queue of the pool.
 *
 * This file handles clients that are CLIENT_QUEUED or CLIENT_FLUSHING. stage/balance.c chooses a worker, stage/offer.c
 * sends, and stage/queue.c has the queue. A client that was sent belongs to settlement.c, and a refused one to
 * departure.c.
 */

#include "broker/core.h"

/*
 * Sends a client that is in no list to a worker of @p, queues it, or refuses it. The client may be freed when this
 * returns.
 */
void delivery_admit(Broker *b, Pool *p, Client *c);

/*
 * Sends, queues or refuses a client that was sent before. It keeps its pool and its deadline, and goes before clients
 * that were not sent yet. The client may be freed when this returns.
 */
void delivery_readmit(Broker *b, Client *c);

/* Serves the queues for the workers in WorkerTable.to_serve. The pools of a worker take turns. */
void delivery_serve(Broker *b);

/* Serves the queues of all pools. */
void delivery_serve_all(Broker *b);

/* Refuses all queued clients, or ends them without counting (drop). */
void delivery_refuse_all(Broker *b, Refusal why);
void delivery_drop_all(Broker *b);

/* Handles @events (epoll) of a client that is CLIENT_FLUSHING. */
void delivery_on_flush_event(Broker *b, Client *c, uint32_t events);

/*
 * Handles clients whose QueueTimeoutSec= is over, and serves the queue. It is the timer of a pool; @userdata is the
 * Pool.
 */
void delivery_on_pool_timer(void *userdata);
