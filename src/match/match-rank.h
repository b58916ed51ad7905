/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which of two routes that take a client gets it: the table in match.h. */

#include "match/match.h"

/* One alternative of one route: one host, one path and one prefix of its lists. All pointers are borrowed. */
typedef struct MatchEntry {
        const RouteMatch *match;
        const char *unit;
        size_t pool;
        const char *host;         /* one of RouteMatch.hosts; "": the route has no Host= */
        const char *path;         /* one of RouteMatch.paths; NULL: the route has no Path= */
        const BytesMatch *prefix; /* one of RouteMatch.prefixes; NULL: the route has no Prefix= */

        /* Weights, which stop at their largest value. */
        uint16_t n_keys;          /* number of keys of MATCH_BY_KEYS */
        uint16_t n_prefix;        /* bytes of @prefix */
        uint16_t header;          /* 0: the route has no Header= */
        uint16_t n_values;        /* values of all keys */
        uint8_t n_protocols;
        uint8_t source_bits;      /* 0: the route has no Source= */
} MatchEntry;

/* Sets the weights of an entry of MatchEntry.match. The entry has no prefix. */
void match_rank_init(MatchEntry *e);

void match_rank_set_prefix(MatchEntry *e, const BytesMatch *prefix);

/*
 * Compares two entries that take the same client, or are in one bucket. Returns a negative number if @a is better.
 * *ret_criterion is the criterion that decided. It is not set if the entries are equal. NULL: not wanted.
 */
int match_rank_compare(const MatchEntry *a, const MatchEntry *b, MatchCriterion *ret_criterion);

/* Returns the criterion by which @winner is preferred to @loser. Both routes have to take the client. */
MatchCriterion match_rank_explain(const RouteMatch *loser, const RouteMatch *winner, const ClientFacts *facts);
