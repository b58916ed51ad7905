/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Stage: clients that wait for their head, the first bytes that tell which route takes them. The bytes are looked at and not
 * consumed. Only a PROXY header is consumed, because it is no part of what the client says.
 *
 * One absolute deadline holds for the whole head (HeadTimeoutSec=), however slowly the bytes come, and one limit for their number
 * (MaxHeadSize=). Listener.heads and Listener.silent are the lists of this stage.
 */

#include "broker/stage/head-buffer.h"
#include "broker/state/routing.h"

typedef enum HeadVerdict {
        HEAD_WAIT,   /* more bytes are needed */
        HEAD_PROXY,  /* a PROXY header was consumed, or may be missing: the real source is known. Look again */
        HEAD_POOL,   /* HeadResult.pool takes it */
        HEAD_REFUSE, /* HeadResult.why and .reason say why */
        HEAD_GONE,   /* the client left before it said anything */
} HeadVerdict;

typedef struct HeadResult {
        HeadVerdict verdict;
        Pool *pool;
        Refusal why;
        ProbeReason reason;
} HeadResult;

/*
 * Puts the client into the lists. Client.wait.due is the deadline of the head, Client.second.due the time when the client counts as
 * silent (0: it has said something).
 */
void head_enter(Client *c);

/* From now on the client counts as silent at @due, unless it says something. */
void head_begin_silence(Client *c, usec_t due);

/* Takes the client out of the lists, and ends the watch of its socket. */
void head_leave(Loop *loop, Client *c);

/* Looks at the bytes that are there. */
HeadResult head_look(HeadBuffer *hb, const Routing *routing, Client *c);

/* Routes a client of which no byte is needed. */
HeadResult head_route_at_once(const Routing *routing, const Client *c);

/* Looks at the bytes that are there, because no more will come. HEAD_WAIT: no route takes them. */
HeadResult head_look_last(HeadBuffer *hb, const Routing *routing, const Client *c);

/* Routes a client that has said nothing for SilentTimeoutSec=. HEAD_WAIT: no route takes silent clients. */
HeadResult head_route_silent(const Routing *routing, const Client *c);
