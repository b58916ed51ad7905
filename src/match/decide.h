/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Decides about a client by its first bytes: a route takes it, it is refused, or more bytes are needed. The broker, its
 * control interface and `fdpassctl test` all call these functions, so they always agree.
 */

#include "match/match.h"

typedef enum DecisionKind {
        DECISION_MORE,      /* the client may still say which route it wants */
        DECISION_ROUTE,     /* a route of pool number Decision.pool takes the client */
        DECISION_NO_ROUTE,
        DECISION_NO_HOST,   /* no route takes the client, and no Host= names the host that it asks for */
        DECISION_NO_HTTP2,  /* no route takes the client, which speaks HTTP/2 without TLS */
        DECISION_MALFORMED, /* the bytes break the protocol: Decision.reason */
} DecisionKind;

typedef struct Decision {
        DecisionKind kind;
        size_t pool;          /* number that was given to match_index_add(); valid with DECISION_ROUTE */
        const RouteMatch *match; /* settings of the route; borrowed, valid with DECISION_ROUTE */
        ProbeReason reason;
        bool is_known;        /* the bytes are a complete head of a known protocol, and *ret_probe is valid */
} Decision;

/*
 * Decides by the bytes of @facts->head and by the other members of @facts. Adds to @facts what the bytes say. @facts
 * borrows from *ret_probe, so *ret_probe has to outlive it. @max_head_size: MaxHeadSize= of the listener, in bytes. If
 * there are at least that many bytes and no complete head, the result is DECISION_MALFORMED.
 */
Decision decide_head(const MatchIndex *index, ClientFacts *facts, size_t max_head_size, Probe *ret_probe);

/*
 * Decides by @facts as they are, and reads no byte. To be called if no route asks for bytes, if a worker has named the
 * route, or if @facts describe a client that does not exist (`fdpassctl test`).
 */
Decision decide_facts(const MatchIndex *index, const ClientFacts *facts);

/*
 * Decides about an incomplete head after which no more bytes come. The kind is DECISION_ROUTE if a route with Prefix=
 * takes the bytes, and otherwise DECISION_MORE. Without this rule the result would depend on how the network cuts the
 * bytes.
 */
Decision decide_incomplete(const MatchIndex *index, const ClientFacts *facts);

/*
 * Decides about a client that said nothing for SilentTimeoutSec=. A route takes it if its Protocol= has "silent". A
 * route also takes it if it names the listener and no key of it asks for bytes. Other routes do not take silent
 * clients, because a worker that waits for their bytes could not serve other clients.
 */
Decision decide_silent(const MatchIndex *index, ClientFacts *facts);

/* Returns "route", "refused" or "more". The string is static. */
const char *decision_result(const Decision *d);

/* Returns the reason of a refusal, as the log says it, or NULL if the client is not refused. The string is static. */
const char *decision_reason(const Decision *d);
