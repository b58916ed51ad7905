/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Delivery: from a pool to one of its workers, or into the pool's queue. */

#include "broker/core.h"

/* Gives the pool a client that is in no list: sends it, queues it, or refuses it. */
void delivery_admit(Broker *b, Pool *p, Client *c);

/* The same for a client that a worker did not take. It keeps its pool, its deadline, and its place before later clients. */
void delivery_readmit(Broker *b, Client *c);

/* Serves the queues for the workers of WorkerTable.to_serve, one client of each pool in turn. */
void delivery_serve(Broker *b);

/* Serves the queues of all pools. */
void delivery_serve_all(Broker *b);

/* Refuses all queued clients, or drops them. */
void delivery_refuse_all(Broker *b, Refusal why);
void delivery_drop_all(Broker *b);

/* A client that is CLIENT_FLUSHING has an event. */
void delivery_on_flush_event(Broker *b, Client *c, uint32_t events);

/* The timer of a pool; @userdata is the Pool. */
void delivery_on_pool_timer(void *userdata);
