/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The index of all routes, for the files that make it (match-index.c) and look clients up in it (match-lookup.c). */

#include "match/match-header.h"
#include "match/match-path.h"
#include "match/match-rank.h"

/* The entries of one host, or of one host and one path. The first entry has the name of the bucket. */
typedef struct MatchBucket {
        const MatchEntry *entries;  /* borrowed from MatchIndex.entries; NULL: this place of the table is free */
        uint32_t n_entries;    /* entries to look at; in the bucket of a host only those without a path, maybe 0 */
        uint32_t n_of_host;    /* all entries of the host, those with a path last; 0: the bucket is of a path */
} MatchBucket;

/* A listener that a route has to itself (match.h), and the highest RoutePriority= of such routes. */
typedef struct MatchOwner {
        const char *listener;  /* borrowed from a RouteMatch */
        int64_t priority;
} MatchOwner;

struct MatchIndex {
        MatchEntry *entries;
        size_t n_entries;
        size_t n_allocated;

        MatchBucket *buckets;
        size_t n_buckets;      /* a power of two, at least twice the number of used places */
        size_t path_max;       /* length of the longest path in bytes */

        HeaderIndex *headers;
        const RouteMatch **prefixes; /* the routes that have Prefix=; borrowed */
        size_t n_prefixes;
        MatchOwner *owners;    /* sorted by the names of the listeners after match_index_finish() */
        size_t n_owners;
        int64_t floor;         /* a route without any key takes all clients that routes of lower priority would get */
        bool has_hosts;        /* a route has Host= */
        bool has_escapes;      /* a Path= has an escape, or a byte that clients may escape */
};

/*
 * Returns the bucket of @host, or of @host and @path if that is not empty. @hash is theirs. A bucket without entries stands
 * for one that there is not.
 */
MatchBucket *match_index_find_bucket(const MatchIndex *index, uint64_t hash, const char *host, Slice path);

/* Returns the highest RoutePriority= of the routes that have @listener to themselves, or a lower one than any route has. */
int64_t match_index_owner_priority(const MatchIndex *index, const char *listener);
