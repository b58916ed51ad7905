/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Stage: a flusher writes the start of the response to the client before the handoff (Flusher=), and consumes the head
 * of the request.
 *
 * The connection to the worker is made first, because the start of a response promises a worker. If the flusher then
 * waits or refuses the client, that connection is closed without a message. No client is flushed twice: after a failed
 * handoff the next worker gets it as it is.
 */

#include "broker/stage/head-buffer.h"
#include "broker/stage/inspect.h"
#include "broker/state/diag.h"
#include "broker/state/routing.h"

typedef struct Flushes {
        Loop *loop;             /* borrowed */
        Diag *diag;
        HeadBuffer *head_buffer;
        WaitingList clients;    /* Client.wait: clients whose send buffer is full; due 2 s after the first byte */
        Timer timer;
        char date[32];          /* date of @date_at in the form of HTTP */
        time_t date_at;
} Flushes;

typedef enum FlushResult {
        FLUSH_DONE,      /* all is sent, and a worker may get the client */
        FLUSH_WAIT,      /* the send buffer is full: the client is CLIENT_FLUSHING */
        FLUSH_INSPECT,   /* the socket is shared, so the helper has to send: flush_describe(), flush_continue() */
        FLUSH_ANSWERED,  /* all is sent, and it was the whole response */
        FLUSH_REFUSED,   /* the client is to be refused: Client.refused.why */
        FLUSH_GONE,      /* the client has left */
} FlushResult;

/*
 * Initialises @fl, whose borrowed members are set. @on_timer is called with @userdata when a client is due. Returns 0
 * or a negative errno.
 */
int flush_init(Flushes *fl, TimerHandler on_timer, void *userdata);
void flush_done(Flushes *fl);

/* True if a flusher has to write to the client before a worker of this route may get it. */
bool flush_is_due(const Route *route, const Client *c);

/* True if every worker of @p can get the client with the bytes that were consumed from it. */
bool flush_can_take(HeadBuffer *hb, const Pool *p, const Client *c);

/* Has the flusher of the route write to the client, which is in no list. */
FlushResult flush_begin(Flushes *fl, const Route *route, Client *c);

/* Handles @events (epoll) of a client that is CLIENT_FLUSHING. With FLUSH_WAIT the client stays in the list. */
FlushResult flush_on_event(Flushes *fl, Client *c, uint32_t events);

/*
 * Describes the helper's task after FLUSH_INSPECT, and takes its result. @t is NULL if the helper hangs at the socket.
 */
void flush_describe(const Client *c, SocketTask *t);
FlushResult flush_continue(Flushes *fl, Client *c, const SocketTask *t);

/* Takes a client that is CLIENT_FLUSHING out of the list. */
void flush_leave(Flushes *fl, Client *c);

/*
 * Return the client with the earliest deadline, or the first one that is due now, or NULL. The client stays in the
 * list.
 */
Client *flush_first(const Flushes *fl);
Client *flush_next_due(Flushes *fl);
