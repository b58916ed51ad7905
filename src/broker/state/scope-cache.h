/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The scopes of one generation of routes. Making one costs about as much as finding a route for each path in it, so
 * those that were used last are kept. The client chooses the host, so the cache has a fixed size.
 */

#include "match/match-scope.h"

#define SCOPE_CACHE_SIZE 1024 /* slots; a power of two. At most 1.5 KiB each */

typedef struct ScopeEntry ScopeEntry;

typedef struct ScopeCache {
        const MatchIndex *index; /* borrowed */
        uint32_t generation;
        ScopeEntry *slots[SCOPE_CACHE_SIZE]; /* by pool and host; NULL: empty */
        ScopeWriter writer;
} ScopeCache;

void scope_cache_done(ScopeCache *cache);

/*
 * Returns the value of the SCOPE TLV for a client of the routes with the number @pool and the settings @match. @listener
 * has to outlive @cache, which takes its address for its name. The value is valid until the next call.
 */
Slice scope_cache_get(ScopeCache *cache, const RouteMatch *match, size_t pool, const char *listener,
                      const struct sockaddr *source, bool is_tls, const ProbeName *host);
