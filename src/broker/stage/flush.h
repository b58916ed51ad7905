/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Stage: a flusher writes the start of the response to the client before the handoff, and consumes the head of its request
 * (Flusher=). The connection to the worker is made first, because the response promises a worker. It is closed again without a
 * message if the client gets no worker, or takes its time. No client is flushed twice: the next worker gets it as it is.
 */

#include "broker/stage/head-buffer.h"
#include "broker/stage/inspect.h"
#include "broker/state/diag.h"
#include "broker/state/routing.h"

typedef struct Flushes {
        Loop *loop;             /* these are borrowed */
        Diag *diag;
        HeadBuffer *head_buffer;
        WaitingList clients;    /* Client.wait: clients whose send buffer has no room; due 2 s after the first byte */
        Timer timer;
        char date[32];          /* HTTP's date of @date_at */
        time_t date_at;
} Flushes;

typedef enum FlushResult {
        FLUSH_DONE,      /* all is sent: the worker may have the client */
        FLUSH_WAIT,      /* the client waits for room in its send buffer, CLIENT_FLUSHING */
        FLUSH_INSPECT,   /* the helper has to send, because the socket is shared: flush_describe(), flush_continue() */
        FLUSH_ANSWERED,  /* all is sent, and it was the whole response */
        FLUSH_REFUSED,   /* Client.refused.why says why */
        FLUSH_GONE,      /* the client has left */
} FlushResult;

/* @on_timer is called with @userdata when a client is due. Returns 0 or a negative errno. */
int flush_init(Flushes *fl, TimerHandler on_timer, void *userdata);
void flush_done(Flushes *fl);

/* True if the client has to be flushed before a worker of this route may get it. */
bool flush_is_due(const Route *route, const Client *c);

/* True if the workers of @p can get the client as it is, with the bytes of it that were consumed. */
bool flush_can_take(HeadBuffer *hb, const Pool *p, const Client *c);

/* Flushes the client, which is in no list. */
FlushResult flush_begin(Flushes *fl, const Route *route, Client *c);

/* A client that is CLIENT_FLUSHING has room, or has left (@events of epoll). FLUSH_WAIT: nothing has changed. */
FlushResult flush_on_event(Flushes *fl, Client *c, uint32_t events);

/* What the helper has to do after FLUSH_INSPECT, and what its answer means. */
void flush_describe(const Client *c, SocketTask *t);
FlushResult flush_continue(Flushes *fl, Client *c, const SocketTask *t);

/* Takes a client that is CLIENT_FLUSHING out of the list. */
void flush_leave(Flushes *fl, Client *c);

/* A client that waits for room, or one that has waited too long; or NULL. */
Client *flush_first(const Flushes *fl);
Client *flush_next_due(Flushes *fl);
