/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Everything that the broker says. Edges and counts, not packets: nothing in here is called for each client,
 * except what LogHandoffs= asks for.
 */

#include <sys/socket.h>

#include "broker/broker.h"
#include "broker/listener.h"
#include "broker/routing.h"
#include "probe/probe.h"

/*
 * What is said at most once in a while is counted in between, and the count told with the next line, or when the
 * while is over and nothing else has happened. Makes the timer for that.
 */
int diag_timer_add(Broker *b);

/* Tells the counts that are held back now: the broker ends, or this pool. */
void diag_tell_all(Broker *b);
void diag_tell_pool(Pool *p);

/* What an administrator would look at first, where connecting to a worker fails with @error; NULL: no idea. */
const char *diag_gone_hint(int error);

/*
 * A worker can't be reached any more, or again. At most one pair in a while: the first is to be called for each
 * attempt, so that one that stays away is told in the end.
 */
void diag_worker_gone(Broker *b, const Route *route, int error);
void diag_worker_back(Broker *b, const Route *route);

/* A worker has had a client for @span without taking it, or takes them again. */
void diag_worker_stuck(Broker *b, const Route *route, usec_t span);
void diag_worker_goes_on(Broker *b, const Route *route);

/* The helper hangs at a socket of this worker's clients, so the worker gets no client; and not any more. */
void diag_worker_hangs(Broker *b, const Worker *w);
void diag_worker_hangs_no_more(Broker *b, const Worker *w);

/* The helper hangs at a descriptor of nobody's in particular. At most one line in a while. */
void diag_helper_hangs(Broker *b);

/* The helper was started anew, or could not be. */
void diag_helper(Broker *b, const HelperEvent *e);

/* A worker accepted a handoff and went away without reading it. At most one line in a while. */
void diag_worker_reset(Broker *b, const Route *route);

/* @n Listener= values of a new configuration name no listener, the first is @name in @route. */
void diag_unknown_listener(Broker *b, const RouteConfig *route, const char *name, size_t n);

/* Fallback= names no other route; the client is refused as if it were not there. */
/* Clients that come by this listener have been through too many brokers. */
void diag_loop(Broker *b, const Listener *l, RateLimit *limit);

void diag_unknown_failure_route(Broker *b, const RouteConfig *route);

/* Flusher= of a pool's first route holds, and this one's is another. */
void diag_flushers_differ(Broker *b, const RouteConfig *first, const RouteConfig *other);

/* A flusher did not keep to its interface, or failed. At most one line in a while. */
void diag_flusher_failed(Pool *p);

/* A client was refused because MaxQueued= others wait. At most one line in a while, as of the next three. */
void diag_queue_full(Pool *p);

/* A client waited QueueTimeoutSec=. */
void diag_client_expired(Pool *p);
void diag_no_route(Listener *l);
void diag_no_resources(Broker *b, int error);

/* Listeners off (@error: what accepting failed with, 0: MaxClients=) and on. At most one pair in a while. */
void diag_paused(Broker *b, int error);
void diag_resumed(Broker *b);

/* The broker ends although there are clients without a receipt. */
void diag_stopped(Broker *b);

/* @n clients should have waited in the return socket for the next process, but do not get there. Said once. */
void diag_handover_failed(Broker *b, size_t n, int error);

/* A worker handed something back that is no client, or no message. At most one line in a while. */
void diag_return_refused(Broker *b, const struct ucred *sender);

/* LogHandoffs= */
void diag_handed(Broker *b, const Client *c);
void diag_answered(Broker *b, const Client *c); /* by a flusher, with the whole response */
void diag_refused(Broker *b, const Client *c, Refusal why, ProbeReason reason);
