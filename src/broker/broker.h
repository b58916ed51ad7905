/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The broker accepts clients, finds the route of each, and passes their sockets to workers.
 *
 *     arrival.c ── stage/head.c ──▶ delivery.c ── stage/queue.c, balance.c, offer.c ──▶ (worker)
 *       ▲                              ▲                                                  │
 *       │                              │ not taken                                        │ receipt
 *       └── returned.c ◀── handback.c  └──────────── settlement.c ── stage/receipts.c ◀───┘
 *                              ▲                         │ taken
 *                          (worker)                      ▼
 *                                                    departure.c: every way out, refusals, too
 *
 * stage/    A stage has the lists, limits and timers of clients in one state, and returns what is to become of them. It
 *           frees no client, and gives none to another stage.
 * (here)    The files of this folder move clients between stages. They handle events and timers.
 * state/    Tables, counters and log lines that stages share.
 *
 * Each header says which ClientState its file handles. dispatch.c calls these files with events. An event notes its
 * consequences only. At the end of the turn they are settled, and then objects are freed. Only departure.c frees a
 * client.
 *
 *   which clients may come          admission.c, arrival.c
 *   how a client is routed          stage/head.c, match/
 *   which worker gets it, and when  delivery.c, stage/balance.c, stage/queue.c
 *   how it is sent                  stage/offer.c, reach.c, metadata.c, persistent.c
 *   what a receipt means            settlement.c
 *   how a client is refused         departure.c, stage/answer.c, stage/linger.c
 *   calls that may wait             stage/inspect.c, socket-task.c
 *   the end of the broker           stop.c, handover.c
 *   a configuration key             broker_set_config(), state/routing.c
 *   a log line                      state/diag.c
 *
 * There is one thread, one loop, and no state beside struct Broker (core.h). No act of a client or a worker is an error
 * of the broker. It is counted, logged by diag.c, and ends in a handoff or a refusal.
 */

#include "broker/core.h"

/*
 * Makes a broker. @n_fds: descriptors that the process may have (RLIMIT_NOFILE), which limit the table of clients. @log
 * is borrowed. A reference to @event is taken. Returns 0 or a negative errno.
 */
int broker_new(sd_event *event, Log *log, size_t n_fds, Broker **ret);
Broker *broker_free(Broker *b);
DEFINE_CLEANUP(Broker *, broker_free);

/* Sets the helper, which is borrowed. It makes the calls that may wait. Returns 0 or a negative errno. */
int broker_set_helper(Broker *b, Helper *helper);

/*
 * Adds a public listener: @fd, a listening stream socket, which is consumed on success. Clients are accepted from it
 * under the name @name, which is copied. To be called before the first broker_set_config(). Returns 0 or a negative
 * errno.
 */
int broker_add_listener(Broker *b, const char *name, int fd);

/*
 * Routes new clients by @config, which is consumed on success. A client that has a pool keeps it. Returns 0, or a
 * negative errno if nothing has changed.
 */
int broker_set_config(Broker *b, Config *config);

/*
 * Makes one turn: waits for events and handles them, those of sd-event, too. @timeout: longest wait; USEC_INFINITY:
 * without limit. In poll mode the wait may be shorter. Returns the number of events or a negative errno.
 */
int broker_turn(Broker *b, usec_t timeout);

/* Makes turns until sd_event_exit(3) is called. Returns its code or a negative errno. */
int broker_run(Broker *b);

/*
 * Begins to stop: no more clients are accepted, and those that are here are settled, handed over, or refused. The event
 * loop ends with code 0 when no client is left, or after 1 s. Does nothing if the broker stops already.
 */
void broker_stop(Broker *b);

/*
 * Drains a worker, or ends that. A drained worker gets no more clients, and keeps those that it was sent. Other workers
 * of its pools get the rest. A worker that asks for it is told (FDPASS_RETURN_TELL), and hands its idle clients back.
 */
void broker_drain_worker(Broker *b, Worker *w, bool is_drained);

/* Tries the workers of the pool that can't be reached, without a client (offer_try()), and serves those that are back. */
void broker_try_pool(Broker *b, Pool *p);
