/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What becomes of a client with these first bytes. The broker, its control interface and `fdpassctl test` all decide by these
 * functions, so they always agree.
 */

#include "match/match.h"

typedef enum DecisionKind {
        DECISION_MORE,      /* more bytes are needed */
        DECISION_ROUTE,     /* Decision.pool takes it */
        DECISION_NO_ROUTE,
        DECISION_NO_HOST,   /* no route takes it, and no Host= names the host that it asks for */
        DECISION_MALFORMED, /* Decision.reason says why */
} DecisionKind;

typedef struct Decision {
        DecisionKind kind;
        size_t pool;          /* the number given to match_index_add(); with DECISION_ROUTE */
        const RouteMatch *match; /* of that route */
        ProbeReason reason;
        bool is_known;        /* the bytes are a complete head of a known protocol: *ret_probe is valid */
} Decision;

/*
 * Decides by @facts, whose @head has the first bytes. Adds to @facts what the bytes say; *ret_probe has to outlive @facts.
 * @max_head_size: MaxHeadSize= of the listener, in bytes. So many bytes without a complete head are malformed.
 */
Decision decide_head(const MatchIndex *index, ClientFacts *facts, size_t max_head_size, Probe *ret_probe);

/* Decides by @facts as they are: no route asks for bytes, a worker has named the route, or somebody describes a client. */
Decision decide_facts(const MatchIndex *index, const ClientFacts *facts);

/*
 * Decides when no more bytes come and the head is not complete. A route with Prefix= may take the bytes that are there.
 * Otherwise the kind is DECISION_MORE. Without this rule it would depend on the network how the bytes are cut.
 */
Decision decide_incomplete(const MatchIndex *index, const ClientFacts *facts);

/*
 * Decides for a client that said nothing for SilentTimeoutSec=. A route takes it if its Protocol= has "silent", or if it names the
 * listener and no key asks for bytes. Other routes are not meant for silent clients, because many of them would stop a worker.
 */
Decision decide_silent(const MatchIndex *index, ClientFacts *facts);

/* "route", "refused" or "more". */
const char *decision_result(const Decision *d);

/* Why the client is refused, as in the log; or NULL. */
const char *decision_reason(const Decision *d);
