/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Finds the route that takes a client, by what is known of the client. There is no event loop and no broker in it,
 * because fdpassctl calls the same functions offline.
 */

#include <sys/socket.h>

#include "config/config.h"
#include "probe/probe.h"

/* The facts by which a client is routed. All members are borrowed. */
typedef struct ClientFacts {
        const char *listener;
        unsigned protocol;          /* one bit, as in RouteMatch.protocols; 0: unknown */
        bool is_any_request;        /* these facts stand for all HTTP requests for this host and path (match-scope.h):
                                     * Method=, Header= and Prefix= take a client if they take one such request */
        const ProbeName *host;      /* from the target, Host, SNI or a PROXY header; NULL or n is 0: none */
        const ProbeName *overridden_host; /* Host field if the target has another host; n is 0: none; NULL: no other */
        Slice path;                 /* n is 0: none */
        Slice method;
        Slice fields;               /* fields of an HTTP head, for http_next_field(); n is 0: none */
        const TlsFacts *tls;        /* for ALPN=; NULL: the client does not speak TLS */
        Slice alpn;                 /* for ALPN= if @tls is NULL: what a PROXY header says; n is 0: none */
        const struct sockaddr *source;
        bool is_tls;                /* its TLS was taken off, by a TLS stage or by a trusted proxy */
        const ProbeName *tls_name;  /* name that a TLS stage made the handshake for; n is 0: the client gave none; NULL:
                                     * there was no such stage */
        Slice head;                 /* all first bytes that are known */
        const char *name;           /* InternalName= of the only route that may take the client; NULL: any route may */
} ClientFacts;

/* The keys of a route, in the order in which they are compared. */
typedef enum MatchKey {
        MATCH_NO_MISS, /* every key takes the client */
        MATCH_LISTENER,
        MATCH_PROTOCOL,
        MATCH_HOST,
        MATCH_PATH,
        MATCH_METHOD,
        MATCH_HEADER,
        MATCH_ALPN,
        MATCH_SOURCE,
        MATCH_TLS,
        MATCH_PREFIX,
        MATCH_NAME,
        _MATCH_KEY_MAX,
} MatchKey;

/*
 * True if @sa is in @range. An IPv4 address that is mapped into IPv6 counts as IPv4. A range of AF_UNIX has all
 * addresses of this family. Other families are in no range.
 */
bool address_range_contains(const AddressRange *range, const struct sockaddr *sa);

/* Returns the name of the key with its "=", for example "Host=". The string is static. */
const char *match_key_to_string(MatchKey key);

/* Returns the first key by which @match does not take the client, or MATCH_NO_MISS. */
MatchKey match_first_miss(const RouteMatch *match, const ClientFacts *facts);

/* True if one value of Prefix= takes the client. */
bool match_takes_bytes(const BytesMatch *bytes, const ClientFacts *facts);

/* True if all keys but Host=, Path=, Prefix= and Header= take the client. MatchIndex looks these four up itself. */
bool match_takes_all_but_indexed(const RouteMatch *match, const ClientFacts *facts);

/* True if a key needs bytes of the client. A route without such a key takes a client before it has said anything. */
bool match_needs_head(const RouteMatch *match);

/* True if no key but Listener= keeps a client from the route. */
bool match_takes_every_client(const RouteMatch *match);

/*
 * Compares the clients that two routes take. Returns 0 if both take exactly the same ones. The sign orders routes, and
 * means nothing else.
 */
int match_compare(const RouteMatch *a, const RouteMatch *b);

/*
 * All routes, by host and path, so that a client is compared with few of them. Of the routes that take a client, the
 * best one gets it. The first of these rules that tells two routes apart decides:
 *
 *  1. the larger RoutePriority=
 *  2. a route with Listener=, if the listener belongs to a route (see below)
 *  3. an exact host, then the longer wildcard, then no host
 *  4. the longer path
 *  5. the larger number of keys among Header= (each name counts), Method=, ALPN=, Prefix= and Source=
 *  6. the smaller number of protocols. Header=, Path= and Method= imply HTTP, ALPN= TLS, and Host= one of the two
 *  7. a route with Listener=
 *  8. a route with TLS=yes or TLS=no
 *  9. the longer Prefix= of those that match
 * 10. the longer network prefix in Source=; of several the shortest counts
 * 11. the longer pattern in Header=; of several patterns of one name the shortest counts
 * 12. the smaller number of values in all keys
 * 13. the name of the unit, in the order of strcmp(3)
 *
 * Rules 5 to 12 weigh a route as a whole. If each client of one route is also one of the other, but not the other way
 * round, the narrower route wins.
 *
 * A listener belongs to a route whose only match key is Listener=, beside RoutePriority=. Such a route takes all bytes,
 * so routes without Listener= and with no larger RoutePriority= would only make the broker parse a protocol that is
 * not theirs.
 */
typedef struct MatchIndex MatchIndex;

/* The rule that prefers one of two routes, in the order of the list above. */
typedef enum MatchCriterion {
        MATCH_BY_PRIORITY,
        MATCH_BY_OWNER,
        MATCH_BY_HOST,
        MATCH_BY_PATH,
        MATCH_BY_KEYS,
        MATCH_BY_PROTOCOL,
        MATCH_BY_LISTENER,
        MATCH_BY_TLS,
        MATCH_BY_PREFIX,
        MATCH_BY_SOURCE,
        MATCH_BY_HEADER,
        MATCH_BY_VALUES,
        MATCH_BY_NAME, /* all other rules find the routes equal */
} MatchCriterion;

/* Returns the rule by which @winner is preferred to @loser. @index has both, and both have to take the client. */
MatchCriterion match_explain_loss(const MatchIndex *index, const RouteMatch *loser, const RouteMatch *winner,
                                  const ClientFacts *facts);

/* Result of match_index_find(). */
typedef struct MatchResult {
        size_t pool;         /* number that was given to match_index_add(); valid with @found */
        const RouteMatch *match; /* settings of the route; borrowed, valid with @found */
        bool found;
        bool host_is_known;  /* a Host= names the client's host, or a wildcard of one contains it */
        bool ambiguous_path; /* servers read the path in different ways, and not all of these lead to one pool */
        bool by_source;      /* a route with Source= was compared */
} MatchResult;

int match_index_new(MatchIndex **ret);
MatchIndex *match_index_free(MatchIndex *index);
DEFINE_CLEANUP(MatchIndex *, match_index_free);

/*
 * Adds a route under the number @pool. @match and @unit are borrowed and have to outlive @index. Returns 0 or -ENOMEM.
 */
int match_index_add(MatchIndex *index, const RouteMatch *match, const char *unit, size_t pool);

/* Makes the tables. To be called once, after the last match_index_add(). Returns 0 or -ENOMEM. */
int match_index_finish(MatchIndex *index);

/*
 * True if a route that clients of @listener can get asks for their first bytes. Routes that can't get one do not count:
 * those behind a route that takes every client, and those without Listener= if the listener belongs to a route.
 */
bool match_index_needs_head(const MatchIndex *index, const char *listener);

/*
 * False if another route has @listener to itself, so that clients of the listener never reach @match. Does not look at
 * the other keys of @match.
 */
bool match_index_reaches(const MatchIndex *index, const RouteMatch *match, const char *listener);

/* True if a route has Host=. */
bool match_index_has_hosts(const MatchIndex *index);

/* True if the Listener= of this route takes clients of @listener, or if the route has no Listener=. */
bool match_is_for_listener(const RouteMatch *match, const char *listener);

/*
 * True if @facts->head is the beginning of a Prefix=, but not all of it, and that route takes clients of
 * @facts->listener.
 */
bool match_index_prefix_needs_more(const MatchIndex *index, const ClientFacts *facts);

/*
 * Finds the route of a client. Servers read some paths in different ways (match-path.h). If not all readings lead to
 * one pool, the result has MatchResult.ambiguous_path, and nothing else in it is valid.
 */
void match_index_find(const MatchIndex *index, const ClientFacts *facts, MatchResult *ret);

/*
 * Finds the values of Path= that begin with @prefix and are longer, of the routes with @host, a value of Host= or "" for
 * none. @prefix ends with a slash. Puts the values into @ret: sorted, with duplicates, and borrowed from the routes.
 * Returns their number, or @max + 1 if there are more than @max.
 */
size_t match_index_find_below(const MatchIndex *index, const char *host, Slice prefix, const char **ret, size_t max);
