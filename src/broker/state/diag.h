/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The broker's log lines and its notifications. Lines report edges and counts. Only what LogHandoffs= asks for is written for each
 * client. Lines that would come often are written once in 10 s, with a count (held-line.h).
 */

#include <sys/socket.h>

#include "basic/log.h"
#include "broker/state/client.h"
#include "broker/state/listener.h"
#include "broker/state/routing.h"
#include "helper/helper.h"
#include "probe/probe.h"

/* For an observer: the control interface. */
typedef enum EventKind {
        EVENT_TAKEN,      /* a worker took the client */
        EVENT_UNREAD,      /* a worker left the client unread */
        EVENT_DECLINED,    /* a worker declined the client */
        EVENT_REFUSED,     /* Client.refused says why */
        EVENT_WORKER_GONE,
        EVENT_WORKER_BACK,
        _EVENT_MAX,
} EventKind;

/* Is called within a turn, so it only takes notes. @c is NULL for an event of a worker, @route for a client without one. */
typedef void (*Observer)(void *userdata, EventKind kind, const Client *c, const Route *route);

struct Diag {
        Log *log;                /* borrowed */
        Loop *loop;              /* borrowed */
        LogHandoffs log_handoffs;
        List held;               /* HeldLine.link: lines that are held back */
        Timer timer;             /* for them */
        Observer observer;       /* NULL: none */
        void *observer_userdata;

        HeldLine pauses;         /* of listeners that are off; its subject is this Diag */
        bool is_paused;          /* listeners are off */
        bool pause_logged;       /* the log has a line about this pause */
        int pause_error;         /* as diag_paused() got it */
        size_t pause_n_clients;
        RateLimit no_resources;
        RateLimit returns_refused;
        RateLimit helper_hangs;
        RateLimit loops;
        bool handover_logged;    /* the log has a line about clients that can't be handed over */
};

/* Borrows @loop and @log. Returns 0 or a negative errno. */
int diag_init(Diag *d, Loop *loop, Log *log);
void diag_done(Diag *d);

/* Writes all lines that are held back, because the broker ends; or those about @p, because it ends. */
void diag_write_held(Diag *d);
void diag_write_held_of_pool(Diag *d, Pool *p);

/* Calls the observer. */
static inline void diag_observe(const Diag *d, EventKind kind, const Client *c, const Route *route) {
        if (d->observer)
                d->observer(d->observer_userdata, kind, c, route);
}

/* What an administrator should check if connecting to a worker fails with @error, or NULL. */
const char *diag_gone_hint(int error);

/* A worker became unreachable, is to be called for each attempt; or is back. At most one pair of lines in 10 s. */
void diag_worker_gone(Diag *d, const Route *route, int error);
void diag_worker_back(Diag *d, const Route *route);

/* A worker has had a client for @span without taking it, or takes clients again. */
void diag_worker_stuck(Diag *d, const Route *route, usec_t span);
void diag_worker_goes_on(Diag *d, const Route *route);

/* The helper hangs at a socket of this worker's clients, so the worker gets no client; or it hangs no more. */
void diag_worker_hangs(Diag *d, const Worker *w);
void diag_worker_hangs_no_more(Diag *d, const Worker *w);

/* The helper hangs at a descriptor that no worker is the reason of. */
void diag_helper_hangs(Diag *d);

/* The helper was started anew, or could not be. */
void diag_helper(Diag *d, const HelperEvent *e);

/* A worker accepted a handoff and went away without reading it. */
void diag_worker_reset(Diag *d, const Route *route);

/* @n Listener= values of a new configuration name no listener. @name in @route is the first one. */
void diag_unknown_listener(Diag *d, const RouteConfig *route, const char *name, size_t n);

/* Clients that came by this listener have been through too many brokers. */
void diag_loop(Diag *d, const Listener *l);

/* Fallback= names no other route. Its clients are refused. */
void diag_unknown_fallback(Diag *d, const RouteConfig *route);

/* Flusher= of a pool's first route holds, and @other has another one. */
void diag_flushers_differ(Diag *d, const RouteConfig *first, const RouteConfig *other);

/* A flusher failed, or broke the rules of its interface. */
void diag_flusher_failed(Diag *d, Pool *p);

/* A client of @p, which it still counts, was refused because its queue is full. */
void diag_queue_full(Diag *d, Pool *p);

/* A client waited for QueueTimeoutSec=. */
void diag_client_expired(Diag *d, Pool *p);

/* No route takes a client of @l. */
void diag_no_route(Diag *d, Listener *l);

/* Handing over fails for want of something. */
void diag_no_resources(Diag *d, int error);

/* Listeners are off (@error: of accept4(2); 0: MaxClients= is reached, by @n_clients) or on. At most one pair in 10 s. */
void diag_paused(Diag *d, int error, size_t n_clients);
void diag_resumed(Diag *d);

/* The broker ends with @n clients that have no receipt. */
void diag_stopped(Diag *d, size_t n);

/* @n clients can't be handed over to the next process. Logged once. */
void diag_handover_failed(Diag *d, size_t n, int error);

/* @sender handed back something that is no client, or no message. */
void diag_return_refused(Diag *d, const struct ucred *sender);

/* For LogHandoffs=: @c was taken (the caller checks it), or answered by a flusher with the whole response, or refused. */
void diag_taken(Diag *d, const Client *c);
void diag_answered(Diag *d, const Client *c);
void diag_refused(Diag *d, const Client *c, Refusal why, ProbeReason reason);
