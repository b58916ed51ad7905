/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A scope is made from paths of two kinds: those of the route, and those below them that any route has. For each of
 * them match_index_find() tells whether the route gets it. The same then holds for all paths down to the next ones of
 * these. A path becomes an item of the scope if the nearest item above it says something else.
 */

#include "match/match-scope.h"

#include <stdlib.h>

/* Limit of the paths of a scope, and of its items. More of them seldom fit into a scope. */
#define MATCH_SCOPE_PATHS_MAX 64

typedef struct MatchScopeItem {
        Slice path;
        bool is_own;
} MatchScopeItem;

typedef struct MatchScope {
        const MatchIndex *index;
        size_t pool;
        ClientFacts facts;                         /* stand for any request */
        const char *paths[MATCH_SCOPE_PATHS_MAX];
        size_t n_paths;
        MatchScopeItem items[MATCH_SCOPE_PATHS_MAX]; /* paths above others come before them */
        size_t n_items;
        bool by_source;
} MatchScope;

/* True if the routes get every request for this path, and for those below it that are not in MatchScope.paths. */
static bool match_scope_owns(MatchScope *s, Slice path) {
        MatchResult result;

        s->facts.path = path;
        match_index_find(s->index, &s->facts, &result);
        s->by_source = s->by_source || result.by_source;
        return result.found && !result.ambiguous_path && result.pool == s->pool;
}

/* Adds the paths below @prefix that go with @host, a value of Host=. Returns false if they are too many. */
static bool match_scope_add_below(MatchScope *s, const char *host, Slice prefix) {
        size_t room = MATCH_SCOPE_PATHS_MAX - s->n_paths,
               n = match_index_find_below(s->index, host, prefix, s->paths + s->n_paths, room);

        s->n_paths += MIN(n, room);
        return n <= room;
}

/* Adds one of the own paths, and the paths below it that go with any Host= that takes the host. */
static bool match_scope_add_path(MatchScope *s, const char *path) {
        uint8_t prefix[UINT8_MAX + 1];
        char pattern[PROBE_NAME_MAX + 3];
        size_t n = strlen(path);

        if (s->n_paths == MATCH_SCOPE_PATHS_MAX || n > UINT8_MAX)
                return false;

        s->paths[s->n_paths++] = path;
        memcpy(prefix, path, n);
        if (prefix[n - 1] != '/')
                prefix[n++] = '/';

        if (!match_scope_add_below(s, "", (Slice){ prefix, n }) ||
            !match_scope_add_below(s, s->facts.host->text, (Slice){ prefix, n }))
                return false;

        for (const char *dot = strchr(s->facts.host->text, '.'); dot; dot = strchr(dot + 1, '.')) {
                pattern[0] = '*';
                memcpy(pattern + 1, dot, strlen(dot) + 1);
                if (!match_scope_add_below(s, pattern, (Slice){ prefix, n }))
                        return false;
        }

        return true;
}

static bool match_scope_add_paths(MatchScope *s, const RouteMatch *match) {
        if (!match->paths)
                return match_scope_add_path(s, "/");

        for (char **path = match->paths; *path; path++)
                if (!match_scope_add_path(s, *path))
                        return false;

        return true;
}

/*
 * True if a path has an escape of a character that requests may have without one: "%2b". Such a request has two readings,
 * and the worker can't see that. Those with an escape are no matter, because the worker asks about them.
 */
static bool match_scope_has_escapes(const MatchScope *s) {
        for (size_t i = 0; i < s->n_paths; i++)
                for (const char *p = strchr(s->paths[i], '%'); p; p = strchr(p + 1, '%'))
                        if (p[1] >= '2' && p[1] <= '7' && !startswith(p, "%20") && !startswith(p, "%25"))
                                return true;

        return false;
}

static int match_scope_compare(const void *a, const void *b) {
        return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/* Returns what the items so far say of @path. The items are sorted, so the last one above it is the nearest. */
static bool match_scope_is_own(const MatchScope *s, Slice path) {
        for (size_t i = s->n_items; i > 0; i--)
                if (http_path_has_prefix(path, s->items[i - 1].path))
                        return s->items[i - 1].is_own;

        return false;
}

static void match_scope_make_items(MatchScope *s) {
        if (s->n_paths > 1)
                qsort(s->paths, s->n_paths, sizeof(*s->paths), match_scope_compare);

        for (size_t i = 0; i < s->n_paths; i++) {
                Slice path = slice_from_string(s->paths[i]);
                bool is_own;

                if (i > 0 && streq(s->paths[i - 1], s->paths[i]))
                        continue;

                is_own = match_scope_owns(s, path);
                if (is_own != match_scope_is_own(s, path))
                        s->items[s->n_items++] = (MatchScopeItem){ path, is_own };
        }
}

static bool match_scope_write(const MatchScope *s, uint32_t generation, ScopeWriter *ret) {
        scope_begin(ret, generation);
        if (!scope_add(ret, FDPASS_SCOPE_HOST, (Slice){ (const uint8_t *) s->facts.host->text, s->facts.host->n }))
                return false;

        for (size_t i = 0; i < s->n_items; i++)
                if (!scope_add(ret, s->items[i].is_own ? FDPASS_SCOPE_PREFIX : FDPASS_SCOPE_EXCEPT, s->items[i].path))
                        return false;

        return s->n_items > 0;
}

void match_scope_make(const MatchIndex *index, const RouteMatch *match, size_t pool, const ClientFacts *facts,
                      uint32_t generation, ScopeWriter *ret, bool *ret_by_source) {
        MatchScope s = {
                .index = index,
                .pool = pool,
                .facts = {
                        .listener = facts->listener,
                        .protocol = 1U << PROBE_HTTP,
                        .host = facts->host,
                        .source = facts->source,
                        .is_tls = facts->is_tls,
                        .is_any_request = true,
                },
        };
        bool has_host = facts->host && facts->host->n > 0,
             is_conditional = match->methods || match->n_headers > 0 || match->n_prefixes > 0;

        if (has_host && !is_conditional && match_scope_add_paths(&s, match) && !match_scope_has_escapes(&s))
                match_scope_make_items(&s);

        *ret_by_source = s.by_source;
        if (s.n_items == 0 || !match_scope_write(&s, generation, ret))
                scope_ask(ret, generation);
}
