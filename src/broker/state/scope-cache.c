/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/state/scope-cache.h"

#include <stdlib.h>

#include "basic/hash.h"

/* A scope that does not depend on the source. */
struct ScopeEntry {
        size_t pool;
        const char *listener; /* borrowed; two listeners have two addresses */
        bool is_tls;
        size_t n_host;
        Slice value;          /* in @bytes */
        uint8_t bytes[];      /* begins with the host */
};

void scope_cache_done(ScopeCache *cache) {
        for (size_t i = 0; i < ELEMENTSOF(cache->slots); i++)
                free(TAKE_PTR(cache->slots[i]));
}

/* As hash_string(), but eight bytes at a time. The last eight bytes may be hashed twice in part. */
static ScopeEntry **scope_cache_slot(ScopeCache *cache, const ProbeName *host, size_t pool) {
        uint64_t h = HASH_BEGIN ^ pool, word;
        size_t n = host->n;

        if (n < sizeof(word))
                for (size_t i = 0; i < n; i++)
                        h = hash_byte(h, (uint8_t) host->text[i]);
        else
                for (size_t i = 0; i < n; i += sizeof(word)) {
                        memcpy(&word, host->text + MIN(i, n - sizeof(word)), sizeof(word));
                        h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
                        h ^= h >> 32;
                }

        return &cache->slots[h & (SCOPE_CACHE_SIZE - 1)];
}

static bool scope_cache_is(const ScopeEntry *e, size_t pool, const char *listener, bool is_tls, const ProbeName *host) {
        return e && e->pool == pool && e->listener == listener && e->is_tls == is_tls && e->n_host == host->n &&
               memcmp(e->bytes, host->text, host->n) == 0;
}

/* Returns NULL if there is no memory. */
static ScopeEntry *scope_cache_new_entry(size_t pool, const ClientFacts *facts, Slice value) {
        size_t n_host = facts->host->n;
        ScopeEntry *e = malloc(sizeof(*e) + n_host + value.n);

        if (!e)
                return NULL;

        e->pool = pool;
        e->listener = facts->listener;
        e->is_tls = facts->is_tls;
        e->n_host = n_host;
        e->value = (Slice){ e->bytes + n_host, value.n };
        memcpy(e->bytes, facts->host->text, n_host);
        memcpy(e->bytes + n_host, value.p, value.n);
        return e;
}

/* Makes a scope and keeps it. Not inline, because the usual case would have to save registers for it. */
__attribute__((noinline)) static Slice scope_cache_make(ScopeCache *cache, const RouteMatch *match, size_t pool,
                                                        const char *listener, const struct sockaddr *source,
                                                        bool is_tls, const ProbeName *host) {
        const ClientFacts facts = { .listener = listener, .source = source, .is_tls = is_tls, .host = host };
        ScopeEntry **slot = scope_cache_slot(cache, host, pool);
        bool by_source;

        match_scope_make(cache->index, match, pool, &facts, cache->generation, &cache->writer, &by_source);
        if (!by_source) {
                free(*slot);
                *slot = scope_cache_new_entry(pool, &facts, scope_value(&cache->writer));
        }

        return scope_value(&cache->writer);
}

Slice scope_cache_get(ScopeCache *cache, const RouteMatch *match, size_t pool, const char *listener,
                      const struct sockaddr *source, bool is_tls, const ProbeName *host) {
        const ScopeEntry *e = *scope_cache_slot(cache, host, pool);

        if (scope_cache_is(e, pool, listener, is_tls, host))
                return e->value;

        return scope_cache_make(cache, match, pool, listener, source, is_tls, host);
}
