/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Which route a client takes, by what is known of it. No event loop, no broker: fdpassctl asks the same
 * questions offline.
 */

#include <sys/socket.h>

#include "config/config.h"
#include "probe/probe.h"

/* What is known of a client when it is routed. Everything is borrowed. */
typedef struct ClientFacts {
        const char *listener;
        unsigned protocol;          /* one bit, as in RouteMatch.protocols; 0: none that is known here */
        const ProbeName *host;      /* of Host or SNI; NULL or n = 0: none */
        Slice path;                 /* n = 0: none */
        Slice method;
        Slice fields;               /* of an HTTP head, for http_next_field() */
        const TlsFacts *tls;        /* for ALPN; NULL: not TLS */
        const struct sockaddr *source;
        Slice head;                 /* all bytes that are there */
        const char *name;           /* of the one route that a worker hands it to; NULL: any other */
} ClientFacts;

/* The keys, in the order in which they are looked at. */
typedef enum MatchKey {
        MATCH_NO_MISS, /* no key objects */
        MATCH_LISTENER,
        MATCH_PROTOCOL,
        MATCH_HOST,
        MATCH_PATH,
        MATCH_METHOD,
        MATCH_HEADER,
        MATCH_ALPN,
        MATCH_SOURCE,
        MATCH_PREFIX,
        MATCH_NAME,
        _MATCH_KEY_MAX,
} MatchKey;

/* An IPv4 address inside IPv6 counts as the IPv4 address that it is; other families are in no range. */
bool address_range_contains(const AddressRange *range, const struct sockaddr *sa);

/* "Host=", … */
const char *match_key_to_string(MatchKey key);

/* The first key by which @match does not take the client, or MATCH_NO_MISS. */
MatchKey match_first_miss(const RouteMatch *match, const ClientFacts *facts);

/* True where it takes the client, as far as Host=, Path= and Header= don't object: MatchIndex has tables for these. */
bool match_takes_all_but_indexed(const RouteMatch *match, const ClientFacts *facts);

/* True where a key needs bytes of the client; a route without such a key takes it as soon as it is there. */
bool match_needs_head(const RouteMatch *match);

/* The order of equal sets of clients: 0 where both take exactly the same ones. */
int match_compare(const RouteMatch *a, const RouteMatch *b);

/*
 * All routes, indexed by host and path, so that a client looks at the few that can concern it. Entries go by rank:
 * RoutePriority=; an exact host before a wildcard, and a longer wildcard before a shorter, before none; the longer
 * path; the larger number of Header=, Method=, ALPN=, Protocol=, Source= and Prefix= keys; a listener before
 * none; the longer prefix of a source address.
 */
typedef struct MatchIndex MatchIndex;

/* By what one of two routes that both take a client goes before the other, in this order. */
typedef enum MatchCriterion {
        MATCH_BY_PRIORITY,
        MATCH_BY_HOST,
        MATCH_BY_PATH,
        MATCH_BY_KEYS,
        MATCH_BY_LISTENER,
        MATCH_BY_SOURCE,
        MATCH_BY_NAME, /* all are equal: the order of the units' names */
} MatchCriterion;

/* Both have to take the client. */
MatchCriterion match_explain_loss(const RouteMatch *loser, const RouteMatch *winner, const ClientFacts *facts);

/* What find says beside the route. */
typedef struct MatchResult {
        size_t pool;         /* which one, with found */
        const RouteMatch *match; /* of that one */
        bool found;
        bool host_is_known;  /* some route names this host, or one that contains it */
        bool ambiguous_path; /* a route with Path= might have been meant, but servers read this path in different ways */
} MatchResult;

int match_index_new(MatchIndex **ret);
MatchIndex *match_index_free(MatchIndex *index);
DEFINE_CLEANUP(MatchIndex *, match_index_free);

/*
 * Adds a route, which must outlive the index, under the number that is to be found. The unit's name decides where
 * nothing else does.
 */
int match_index_add(MatchIndex *index, const RouteMatch *match, const char *unit, size_t pool);

/* After the last match_index_add(). */
int match_index_finish(MatchIndex *index);

/* Has any route Host=? */
bool match_index_has_hosts(const MatchIndex *index);

/* May a route with this match take clients of the listener? */
bool match_is_for_listener(const RouteMatch *match, const char *listener);

/* True if @facts->head is the beginning of a Prefix= of a route for @facts->listener, but not all of it. */
bool match_index_prefix_needs_more(const MatchIndex *index, const ClientFacts *facts);

void match_index_find(const MatchIndex *index, const ClientFacts *facts, MatchResult *ret);
