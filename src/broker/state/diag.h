/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The broker's log lines and its notifications. A line reports a change of state or a number of events, and not each
 * client. LogHandoffs= asks for lines about each client. Frequent lines are written once in 10 s, with a count
 * (held-line.h).
 */

#include <sys/socket.h>

#include "basic/address.h"
#include "basic/log.h"
#include "broker/state/client.h"
#include "broker/state/listener.h"
#include "broker/state/routing.h"
#include "helper/helper.h"
#include "probe/probe.h"

/* Kinds of events of which an observer is notified. The control interface is one. */
typedef enum EventKind {
        EVENT_TAKEN,      /* a worker took the client */
        EVENT_UNREAD,      /* a worker left the client unread */
        EVENT_DECLINED,    /* a worker declined the client */
        EVENT_REFUSED,     /* Client.refused says why */
        EVENT_WORKER_GONE,
        EVENT_WORKER_BACK,
        _EVENT_MAX,
} EventKind;

/* Limits because of which parked clients are ended. */
typedef enum ParkedLimit {
        PARKED_LIMIT_ALL,    /* MaxParked= */
        PARKED_LIMIT_SOURCE, /* MaxClientsPerSource= */
        PARKED_LIMIT_PLACES, /* descriptors */
        _PARKED_LIMIT_MAX,
} ParkedLimit;

/*
 * Is called within a turn, so it must not change the state of the broker. @c is NULL for an event of a worker. @route
 * is NULL for a client without one.
 */
typedef void (*Observer)(void *userdata, EventKind kind, const Client *c, const Route *route);

struct Diag {
        Log *log;                /* borrowed */
        Loop *loop;              /* borrowed */
        LogHandoffs log_handoffs;
        List held;               /* HeldLine.link: lines that are held back */
        Timer timer;             /* for @held */
        Observer observer;       /* is notified of events; NULL: none */
        void *observer_userdata;

        HeldLine pauses;         /* lines about listeners that are off; the subject is this Diag */
        bool is_paused;          /* listeners are off */
        bool pause_logged;       /* the log has a line about this pause */
        int pause_error;         /* negative errno of accept4(2); 0: MaxClients= is reached */
        size_t pause_n_clients;
        HeldLine parked_full[_PARKED_LIMIT_MAX]; /* lines "parked clients were ended" */
        HeldLine returns_full;   /* line "clients were handed back, and not taken" */
        RateLimit no_resources;
        RateLimit returns_refused;
        RateLimit helper_hangs;
        RateLimit loops;
        bool handover_logged;    /* the log has a line about clients that can't be handed over */
};

/* Initialises @d. Borrows @loop and @log. Returns 0 or a negative errno. */
int diag_init(Diag *d, Loop *loop, Log *log);
void diag_done(Diag *d);

/* Writes all lines that are held back, because the broker ends. _of_pool() writes those about @p, because @p ends. */
void diag_write_held(Diag *d);
void diag_write_held_of_pool(Diag *d, Pool *p);

/* For the files of this folder that write lines. Counts one event of @line. Writes the line now, or holds it back. */
void diag_write_or_hold(Diag *d, HeldLine *line, void *subject, void (*write)(Diag *, void *, uint64_t));

/* For these files, too. Begin a line about a route (@id is its MESSAGE_ID, or NULL), or about a client. */
void diag_begin_route(LogRecord *record, const Diag *d, int priority, const char *id, const Route *route);
void diag_begin_client(LogRecord *record, const Diag *d, const Client *c, char peer[static ADDRESS_TEXT_MAX]);

/* Notifies the observer, if there is one. */
static inline void diag_observe(const Diag *d, EventKind kind, const Client *c, const Route *route) {
        if (d->observer)
                d->observer(d->observer_userdata, kind, c, route);
}

/*
 * Returns what an administrator should check if connecting to a worker fails with @error, or NULL. The string is
 * static.
 */
const char *diag_gone_hint(int error);

/*
 * A worker became unreachable (gone), or is reachable again (back). To be called for each attempt that fails. At most
 * one pair of lines is written in 10 s.
 */
void diag_worker_gone(Diag *d, const Route *route, int error);
void diag_worker_back(Diag *d, const Route *route);

/* A worker has had a client for @span without taking it (stuck), or takes clients again (goes_on). */
void diag_worker_stuck(Diag *d, const Route *route, usec_t span);
void diag_worker_goes_on(Diag *d, const Route *route);

/*
 * A call of the helper hangs at a socket of this worker's clients, so the worker gets no client, or no call hangs any
 * more.
 */
void diag_worker_hangs(Diag *d, const Worker *w);
void diag_worker_hangs_no_more(Diag *d, const Worker *w);

/* A call of the helper hangs at a descriptor that came from no known worker. */
void diag_helper_hangs(Diag *d);

/* The helper was started again, or could not be started. */
void diag_helper(Diag *d, const HelperEvent *e);

/*
 * A worker accepted the connection of the handoff of @c and ended it without reading the message. The line counts each
 * client once, however often that happens to it.
 */
void diag_worker_reset(Diag *d, const Route *route, Client *c);

/* @n values of Listener= in a new configuration name no listener. The first one is @name, in @route. */
void diag_unknown_listener(Diag *d, const RouteConfig *route, const char *name, size_t n);

/*
 * A client of this listener was refused because too many brokers have handed it on. Most likely they hand it round in a
 * circle.
 */
void diag_loop(Diag *d, const Listener *l);

/* Fallback= of @route names no other route, so its clients are refused. */
void diag_unknown_fallback(Diag *d, const RouteConfig *route);

/* Routes of one pool have different flushers. The one of @first holds, and the one of @other is ignored. */
void diag_flushers_differ(Diag *d, const RouteConfig *first, const RouteConfig *other);

/* A flusher of @p failed, or broke the rules of its interface. */
void diag_flusher_failed(Diag *d, Pool *p);

/* @c is refused because the queue of @p is full. @p still counts @c. */
void diag_queue_full(Diag *d, Pool *p, const Client *c);

/* A client waited in @p for QueueTimeoutSec=. */
void diag_client_expired(Diag *d, Pool *p);

/* A parked client was ended because of a limit. */
void diag_parked_ended(Diag *d, ParkedLimit limit);

/* A client that was handed back was not taken, because there is no place for it. */
void diag_returns_full(Diag *d);

/* A handoff fails with @error, a negative errno, because the broker lacks memory or descriptors. */
void diag_no_resources(Diag *d, int error);

/*
 * Listeners are off, or on again. @error: negative errno of accept4(2); 0: there are @n_clients, and MaxClients= allows
 * no more. At most one pair of lines is written in 10 s.
 */
void diag_paused(Diag *d, int error, size_t n_clients);
void diag_resumed(Diag *d);

/* The broker ends, and @n clients have no receipt. Writes nothing if @n is 0. */
void diag_stopped(Diag *d, size_t n);

/*
 * @n clients can't be handed over to the next process (@error is a negative errno). Only the first call writes a line.
 */
void diag_handover_failed(Diag *d, size_t n, int error);

/* The process @sender sent to a return socket a message that is malformed or brings no client. */
void diag_return_refused(Diag *d, const struct ucred *sender);

/*
 * A client was taken, answered by a flusher with the whole response, or refused. The lines about this one client depend
 * on LogHandoffs=; the caller of diag_taken() checks it. Lines about a client that was handed back for its next request
 * have FDPASS_REROUTED=yes. The line that counts refused clients does not depend on it.
 */
void diag_taken(Diag *d, const Client *c);
void diag_answered(Diag *d, const Client *c);
void diag_refused(Diag *d, const Client *c, Refusal why, ProbeReason reason);
