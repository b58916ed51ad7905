/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The broker: it accepts clients, finds the route of each, and passes their sockets to workers.
 *
 *     arrival.c ── stage/head.c ──▶ delivery.c ── stage/queue.c, balance.c, offer.c ──▶ (worker)
 *       ▲                              ▲                                                  │
 *       │                              │ not taken                                        │ receipt
 *       └── handback.c ◀── (worker)    └──────────── settlement.c ── stage/receipts.c ◀───┘
 *                                                        │ taken
 *     departure.c: every way out ◀───────────────────────┘
 *
 * A stage (stage/) holds clients and returns what came of them; it knows no other stage. The files of this folder move clients
 * between stages. Only departure.c frees a client. Consequences of an event are settled at the end of the turn (dispatch.c).
 *
 * One thread, one loop, no state beside struct Broker (core.h). Nothing that a client or a worker does is an error of the broker:
 * it is counted, logged by diag.c, and ends in a handoff or a refusal.
 */

#include "broker/core.h"

/*
 * Makes a broker. @n_fds: descriptors that the process may have (RLIMIT_NOFILE); the table of clients is made to fit. @log is
 * borrowed, and a reference to @event is taken. Returns 0 or a negative errno.
 */
int broker_new(sd_event *event, Log *log, size_t n_fds, Broker **ret);
Broker *broker_free(Broker *b);
DEFINE_CLEANUP(Broker *, broker_free);

/* From now on @helper, which is borrowed, makes the calls that may wait. Returns 0 or a negative errno. */
int broker_set_helper(Broker *b, Helper *helper);

/*
 * Accepts clients from @fd, a listening stream socket, which is consumed on success, under @name. All listeners have to be added
 * before the first broker_set_config(). Returns 0 or a negative errno.
 */
int broker_add_listener(Broker *b, const char *name, int fd);

/*
 * Routes new clients by @config, which is consumed on success. Other clients keep their route. Returns 0, or a negative errno: then
 * nothing has changed.
 */
int broker_set_config(Broker *b, Config *config);

/*
 * Makes one turn: waits up to @timeout, or USEC_INFINITY, for events and handles them, sd-event's too. Returns the number of events
 * (0 may also come before @timeout), or a negative errno.
 */
int broker_turn(Broker *b, usec_t timeout);

/* Makes turns until sd_event_exit(3) is called. Returns its code, or a negative errno. */
int broker_run(Broker *b);

/*
 * Stops: accepts no more clients, hands over those it has, and ends the event loop with 0 when no client is left, or after 1 s. Does
 * nothing if the broker stops already.
 */
void broker_stop(Broker *b);

/* A drained worker gets no more clients. It keeps those that it was sent. Other workers of its pools take the rest. */
void broker_drain_worker(Broker *b, Worker *w, bool is_drained);
