/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Looks a client up in the index of routes. */

#include "match/match-index.h"

#include "basic/hash.h"

/* Names by which a client is looked up: its own, one wildcard for each dot in it, and "". */
#define MATCH_NAMES_MAX (PROBE_NAME_MAX / 2 + 2)

typedef struct MatchSearch {
        const MatchIndex *index;
        const ClientFacts *facts;
        Slice path;            /* one reading of ClientFacts.path */
        int64_t owner_priority; /* of the client's listener; INT64_MIN: no route has it to itself */
        const MatchEntry *best;
        MatchResult *result;
} MatchSearch;

static bool match_lookup_leaves_to_owner(const RouteMatch *m, int64_t owner_priority) {
        return !m->listeners && m->priority <= owner_priority;
}

static bool match_lookup_takes_the_rest(const MatchSearch *s, const MatchEntry *e) {
        const RouteMatch *m = e->match;

        return !match_lookup_leaves_to_owner(m, s->owner_priority) && match_takes_all_but_indexed(m, s->facts) &&
               (!e->prefix || match_takes_bytes(e->prefix, s->facts)) &&
               (m->n_headers == 0 || s->facts->is_any_request || header_index_takes(s->index->headers, m));
}

/* Searches the entries, which are sorted by rank, for one that is better than MatchSearch.best. */
static void match_lookup_search_bucket(MatchSearch *s, const MatchBucket *bucket) {
        for (size_t i = 0; i < bucket->n_entries; i++) {
                const MatchEntry *e = &bucket->entries[i];

                /* This entry and all later ones are not better than the best one so far. */
                if (s->best && match_rank_compare(s->best, e, NULL) <= 0)
                        return;

                if (e->match->n_sources > 0)
                        s->result->by_source = true;
                if (match_lookup_takes_the_rest(s, e)) {
                        s->best = e;
                        return;
                }
        }
}

/* For "/a/b/c" searches "/", then "/a", then "/a/b", then "/a/b/c". */
static void match_lookup_search_paths(MatchSearch *s, uint64_t hash, const char *host) {
        Slice path = s->path;
        size_t n = MIN(path.n, s->index->path_max);

        if (path.p[0] != '/')
                return;

        for (size_t i = 1; i <= n; i++) {
                const MatchBucket *bucket;

                hash = hash_byte(hash, path.p[i - 1]);
                if (i > 1 && i < path.n && path.p[i] != '/')
                        continue;

                bucket = match_index_find_bucket(s->index, hash, host, slice_head(path, i));
                if (bucket->entries)
                        match_lookup_search_bucket(s, bucket);
        }
}

static void match_lookup_search_host(MatchSearch *s, const char *host) {
        uint64_t hash = hash_string_more(HASH_BEGIN, host);
        const MatchBucket *bucket = match_index_find_bucket(s->index, hash, host, (Slice){});

        if (!bucket->entries)
                return;

        if (*host)
                s->result->host_is_known = true;

        match_lookup_search_bucket(s, bucket);

        if (bucket->n_of_host > bucket->n_entries && s->path.n > 0)
                match_lookup_search_paths(s, hash, host);
}

/* Writes the wildcard of the names that end with @dot: "*.example.org". */
static const char *match_lookup_make_wildcard(const char *dot, char ret[static PROBE_NAME_MAX + 3]) {
        ret[0] = '*';
        memcpy(ret + 1, dot, strlen(dot) + 1);
        return ret;
}

/* Looks a client up by one reading of its path. */
static void match_lookup_find_reading(const MatchIndex *index, const ClientFacts *facts, Slice path, MatchResult *ret) {
        MatchSearch s = {
                .index = index,
                .facts = facts,
                .path = path,
                /* A worker that hands a client back to a name gets this route, whatever listener the client has. */
                .owner_priority = facts->name ? INT64_MIN : match_index_owner_priority(index, facts->listener),
                .result = ret,
        };
        char pattern[PROBE_NAME_MAX + 3];

        *ret = (MatchResult){};

        if (facts->host && facts->host->n > 0) {
                match_lookup_search_host(&s, facts->host->text);

                /* For "a.b.example.org" searches "*.b.example.org", then "*.example.org", then "*.org". */
                for (const char *dot = strchr(facts->host->text, '.'); dot; dot = strchr(dot + 1, '.'))
                        match_lookup_search_host(&s, match_lookup_make_wildcard(dot, pattern));
        }
        match_lookup_search_host(&s, "");

        if (s.best) {
                ret->found = true;
                ret->pool = s.best->pool;
                ret->match = s.best->match;
        }
}

/* Adds the paths of a host to @paths, and returns their number: 0 or 1. */
static size_t match_lookup_list_host(const MatchIndex *index, const char *host, MatchPaths *ret) {
        const MatchBucket *b = match_index_find_bucket(index, hash_string_more(HASH_BEGIN, host), host, (Slice){});

        if (!b->entries || b->n_of_host == b->n_entries)
                return 0;

        *ret = (MatchPaths){ b->entries + b->n_entries, b->n_of_host - b->n_entries };
        return 1;
}

/* Lists the paths of all names by which a client of @host is looked up. Returns the number of names that have paths. */
static size_t match_lookup_list(const MatchIndex *index, const ProbeName *host, MatchPaths ret[static MATCH_NAMES_MAX]) {
        size_t n = match_lookup_list_host(index, "", &ret[0]);
        char pattern[PROBE_NAME_MAX + 3];

        if (!host || host->n == 0)
                return n;

        n += match_lookup_list_host(index, host->text, &ret[n]);
        for (const char *dot = strchr(host->text, '.'); dot; dot = strchr(dot + 1, '.'))
                n += match_lookup_list_host(index, match_lookup_make_wildcard(dot, pattern), &ret[n]);

        return n;
}

/* Looks a client up by all readings of its path. */
static void match_lookup_find_readings(const MatchIndex *index, const ClientFacts *facts, MatchResult *ret) {
        MatchPaths paths[MATCH_NAMES_MAX];
        size_t n = match_lookup_list(index, facts->host, paths);
        MatchPlaces places;

        if (n == 0) {
                match_lookup_find_reading(index, facts, facts->path, ret);
                return;
        }

        if (!match_path_find_places(paths, n, index->path_max, facts->path, &places)) {
                *ret = (MatchResult){ .ambiguous_path = true };
                return;
        }

        for (size_t i = 0; i < places.n && (i == 0 || !ret->ambiguous_path); i++) {
                Slice path = places.items[i].path.n > 0 ? places.items[i].path : SLICE_LITERAL("/");
                MatchResult other;

                match_lookup_find_reading(index, facts, path, i == 0 ? ret : &other);
                if (i == 0)
                        continue;

                ret->ambiguous_path = ret->found != other.found || (ret->found && ret->pool != other.pool);
                ret->by_source = ret->by_source || other.by_source;
        }
}

void match_index_find(const MatchIndex *index, const ClientFacts *facts, MatchResult *ret) {
        header_index_begin(index->headers, facts->fields);

        if (facts->path.n == 0 || facts->path.p[0] != '/' || (!index->has_escapes && http_path_is_plain(facts->path)))
                match_lookup_find_reading(index, facts, facts->path, ret);
        else
                match_lookup_find_readings(index, facts, ret);
}

bool match_index_has_hosts(const MatchIndex *index) {
        return index->has_hosts;
}

bool match_is_for_listener(const RouteMatch *match, const char *listener) {
        return match_first_miss(match, &(ClientFacts){ .listener = listener }) != MATCH_LISTENER;
}

/* Returns the number of the first entry of the host whose path is @path or is sorted behind it. */
static size_t match_lookup_find_first(const MatchBucket *of_host, Slice path) {
        size_t low = of_host->n_entries, high = of_host->n_of_host;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (http_path_compare(slice_from_string(of_host->entries[middle].path), path) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }

        return low;
}

size_t match_index_find_below(const MatchIndex *index, const char *host, Slice prefix, const char **ret, size_t max) {
        const MatchBucket *bucket = match_index_find_bucket(index, hash_string_more(HASH_BEGIN, host), host, (Slice){});
        size_t n = 0;

        if (!bucket->entries)
                return 0;

        for (size_t i = match_lookup_find_first(bucket, prefix); i < bucket->n_of_host; i++) {
                Slice path = slice_from_string(bucket->entries[i].path);

                if (!slice_has_prefix(path, prefix))
                        break;
                if (path.n == prefix.n)
                        continue; /* the prefix is "/" */
                if (n == max)
                        return max + 1;

                ret[n++] = bucket->entries[i].path;
        }

        return n;
}

static bool match_lookup_one_prefix_needs_more(const RouteMatch *match, Slice head) {
        for (size_t i = 0; i < match->n_prefixes; i++)
                if (probe_prefix(head.p, head.n, (Slice){ match->prefixes[i].p, match->prefixes[i].n }) == PROBE_NEED_MORE)
                        return true;

        return false;
}

bool match_index_prefix_needs_more(const MatchIndex *index, const ClientFacts *facts) {
        for (size_t i = 0; i < index->n_prefixes; i++)
                if (match_is_for_listener(index->prefixes[i], facts->listener) &&
                    match_lookup_one_prefix_needs_more(index->prefixes[i], facts->head))
                        return true;

        return false;
}

bool match_index_needs_head(const MatchIndex *index, const char *listener) {
        int64_t owner_priority = match_index_owner_priority(index, listener);

        for (size_t i = 0; i < index->n_entries; i++) {
                const RouteMatch *m = index->entries[i].match;

                if (match_needs_head(m) && m->priority >= MAX(owner_priority, index->floor) &&
                    !match_lookup_leaves_to_owner(m, owner_priority) && match_is_for_listener(m, listener))
                        return true;
        }

        return false;
}

bool match_index_reaches(const MatchIndex *index, const RouteMatch *match, const char *listener) {
        return !match_lookup_leaves_to_owner(match, match_index_owner_priority(index, listener));
}

MatchCriterion match_explain_loss(const MatchIndex *index, const RouteMatch *loser, const RouteMatch *winner,
                                  const ClientFacts *facts) {
        int64_t owner_priority = facts->name ? INT64_MIN : match_index_owner_priority(index, facts->listener);

        if (loser->priority == winner->priority && match_lookup_leaves_to_owner(loser, owner_priority))
                return MATCH_BY_OWNER;

        return match_rank_explain(loser, winner, facts);
}
