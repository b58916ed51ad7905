/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Stage: clients whose head is awaited. The head is the first bytes, as far as they are needed to route a client. They
 * are peeked at and stay in the socket. A PROXY header is consumed, because the worker must not see it.
 *
 * One absolute deadline holds for the whole head (HeadTimeoutSec=), however slowly its bytes come. MaxHeadSize= limits
 * its size. Listener.heads and Listener.silent are the lists of this stage.
 */

#include "broker/stage/head-buffer.h"
#include "broker/state/routing.h"

typedef enum HeadVerdict {
        HEAD_WAIT,   /* more bytes are needed */
        HEAD_PROXY,  /* no PROXY header is awaited any more: look again, the source is known now */
        HEAD_POOL,   /* HeadResult.pool takes the client */
        HEAD_REFUSE, /* the client is to be refused: HeadResult.why and .reason */
        HEAD_GONE,   /* the client left before it sent a head */
} HeadVerdict;

typedef struct HeadResult {
        HeadVerdict verdict;
        Pool *pool;
        Refusal why;
        ProbeReason reason;
} HeadResult;

/*
 * Puts the client into the lists. Client.wait.due is the deadline of the head. Client.second.due is the time from which
 * on the client counts as silent; 0: it has sent a byte.
 */
void head_enter(Client *c);

/* Has the client count as silent from @due on, unless it sends a byte before. */
void head_begin_silence(Client *c, usec_t due);

/* Takes the client out of the lists, and ends the watch of its socket. */
void head_leave(Loop *loop, Client *c);

/* Peeks at the first bytes of the client, and decides by them. */
HeadResult head_look(HeadBuffer *hb, const Routing *routing, Client *c);

/* Routes a client of which no byte is needed. */
HeadResult head_route_at_once(const Routing *routing, const Client *c);

/* Decides by an incomplete head after which no more bytes come. HEAD_WAIT: no route takes the client. */
HeadResult head_look_last(HeadBuffer *hb, const Routing *routing, const Client *c);

/* Routes a client that has sent nothing for SilentTimeoutSec=. HEAD_WAIT: no route takes silent clients. */
HeadResult head_route_silent(const Routing *routing, const Client *c);
