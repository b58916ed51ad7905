/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * All routes, in a hash table by host and path.
 *
 * Each name of a Host= line has a bucket, and routes without Host= have one of the name "". Each path that goes with
 * such a name has a bucket, too. The entries of a bucket are sorted by rank, so the first one that takes a client is
 * the best of the bucket.
 *
 * A client is looked up by its host, by each wildcard above that, and by "". With each of these names it is looked up
 * by each path above its own. So the number of lookups grows with the labels of its host and the segments of its path,
 * and not with the number of routes.
 */

#include <errno.h>

#include "basic/array.h"
#include "basic/hash.h"
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

int match_index_new(MatchIndex **ret) {
        _cleanup_(match_index_freep) MatchIndex *index = calloc(1, sizeof(*index));
        int r;

        if (!index)
                return -ENOMEM;

        index->floor = INT64_MIN;
        r = header_index_new(&index->headers);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(index);
        return 0;
}

MatchIndex *match_index_free(MatchIndex *index) {
        if (!index)
                return NULL;

        header_index_free(index->headers);
        free(index->prefixes);
        free(index->owners);
        free(index->entries);
        free(index->buckets);
        free(index);
        return NULL;
}

static int match_index_add_entry(MatchIndex *index, const MatchEntry *e) {
        if (index->n_entries == index->n_allocated) {
                size_t n = MAX(index->n_allocated * 2, (size_t) 16);
                MatchEntry *entries = reallocarray(index->entries, n, sizeof(*entries));

                if (!entries)
                        return -ENOMEM;

                index->entries = entries;
                index->n_allocated = n;
        }

        index->entries[index->n_entries++] = *e;
        return 0;
}

/* Adds an entry for each prefix of the route. */
static int match_index_add_path(MatchIndex *index, MatchEntry *e, const char *path) {
        int r;

        e->path = path;
        if (e->match->n_prefixes == 0)
                return match_index_add_entry(index, e);

        for (size_t i = 0; i < e->match->n_prefixes; i++) {
                match_rank_set_prefix(e, &e->match->prefixes[i]);
                r = match_index_add_entry(index, e);
                if (r < 0)
                        return r;
        }

        return 0;
}

/* Adds the entries of each path of the route. */
static int match_index_add_host(MatchIndex *index, MatchEntry *e, const char *host) {
        int r;

        e->host = host;
        if (!e->match->paths)
                return match_index_add_path(index, e, NULL);

        for (char **path = e->match->paths; *path; path++) {
                r = match_index_add_path(index, e, *path);
                if (r < 0)
                        return r;
        }

        return 0;
}

static int match_index_add_owner(MatchIndex *index, const RouteMatch *match) {
        if (!match_takes_every_client(match))
                return 0;

        if (!match->listeners)
                index->floor = MAX(index->floor, (int64_t) match->priority);

        for (char **l = match->listeners; l && *l; l++) {
                if (!ARRAY_GROW(index->owners, index->n_owners))
                        return -ENOMEM;

                index->owners[index->n_owners++] = (MatchOwner){ .listener = *l, .priority = match->priority };
        }

        return 0;
}

static int match_index_add_prefixes(MatchIndex *index, const RouteMatch *match) {
        if (match->n_prefixes == 0)
                return 0;

        if (!ARRAY_GROW(index->prefixes, index->n_prefixes))
                return -ENOMEM;

        index->prefixes[index->n_prefixes++] = match;
        return 0;
}

int match_index_add(MatchIndex *index, const RouteMatch *match, const char *unit, size_t pool) {
        MatchEntry e = { .match = match, .unit = unit, .pool = pool };
        int r;

        match_rank_init(&e);

        r = header_index_add(index->headers, match);
        if (r >= 0)
                r = match_index_add_owner(index, match);
        if (r >= 0)
                r = match_index_add_prefixes(index, match);
        if (r < 0)
                return r;

        index->has_hosts = index->has_hosts || match->hosts;
        if (!match->hosts)
                return match_index_add_host(index, &e, "");

        for (char **host = match->hosts; *host; host++) {
                r = match_index_add_host(index, &e, *host);
                if (r < 0)
                        return r;
        }

        return 0;
}

/* Compares as http_path_compare(). An entry without a path comes first. */
static int match_index_compare_paths(const char *a, const char *b) {
        return a && b ? http_path_compare(slice_from_string(a), slice_from_string(b)) : (a != NULL) - (b != NULL);
}

static bool match_index_has_escape(const char *path) {
        for (; *path; path++)
                if (*path == '%' || (uint8_t) *path >= 0x80)
                        return true;

        return false;
}

static int match_index_compare_entries(const void *x, const void *y) {
        const MatchEntry *a = x, *b = y;
        int d = strcmp(a->host, b->host);

        if (d == 0)
                d = match_index_compare_paths(a->path, b->path);
        if (d == 0)
                d = match_rank_compare(a, b, NULL);
        if (d == 0)
                d = strcmp(a->unit, b->unit);

        return d;
}

static bool match_index_is_bucket_of(const MatchBucket *bucket, const char *host, Slice path) {
        if ((bucket->n_of_host > 0) != (path.n == 0) || !streq(bucket->entries->host, host))
                return false;

        return path.n == 0 || slice_equal(slice_from_string(bucket->entries->path), path);
}

/*
 * Returns the bucket of this host and path (@path->n is 0: of the host), or the free place for it. @hash is the hash of
 * the host followed by the path. Two buckets never hash the same string, because no host contains a slash.
 */
static MatchBucket *match_index_find_bucket(const MatchIndex *index, uint64_t hash, const char *host, Slice path) {
        /* The hash needs no secret, because only the administrator chooses the names in the table. */
        for (size_t i = mix64(hash);; i++) {
                MatchBucket *bucket = &index->buckets[i & (index->n_buckets - 1)];

                if (!bucket->entries || match_index_is_bucket_of(bucket, host, path))
                        return bucket;
        }
}

static bool match_index_begins_host(const MatchIndex *index, size_t i) {
        return i == 0 || !streq(index->entries[i - 1].host, index->entries[i].host);
}

static bool match_index_begins_path(const MatchIndex *index, size_t i) {
        const char *path = index->entries[i].path;

        return path && (match_index_begins_host(index, i) || match_index_compare_paths(index->entries[i - 1].path, path) != 0);
}

static void match_index_fill_buckets(MatchIndex *index) {
        MatchBucket *of_host = NULL, *of_path = NULL;
        uint64_t hash = 0;

        for (size_t i = 0; i < index->n_entries; i++) {
                const MatchEntry *e = &index->entries[i];

                if (match_index_begins_host(index, i)) {
                        hash = hash_string_more(HASH_BEGIN, e->host);
                        of_host = match_index_find_bucket(index, hash, e->host, (Slice){});
                        of_host->entries = e;
                }
                of_host->n_of_host++;

                if (match_index_begins_path(index, i)) {
                        of_path = match_index_find_bucket(index, hash_string_more(hash, e->path), e->host, slice_from_string(e->path));
                        of_path->entries = e;
                        index->path_max = MAX(index->path_max, strlen(e->path));
                        index->has_escapes = index->has_escapes || match_index_has_escape(e->path);
                }
                (e->path ? of_path : of_host)->n_entries++;
        }
}

static int match_index_compare_owners(const void *x, const void *y) {
        const MatchOwner *a = x, *b = y;
        int d = strcmp(a->listener, b->listener);

        return d != 0 ? d : (a->priority < b->priority) - (a->priority > b->priority);
}

/* Sorts the listeners, and keeps the highest priority of each. */
static void match_index_sort_owners(MatchIndex *index) {
        size_t n = 0;

        if (index->n_owners > 0)
                qsort(index->owners, index->n_owners, sizeof(*index->owners), match_index_compare_owners);

        for (size_t i = 0; i < index->n_owners; i++)
                if (n == 0 || !streq(index->owners[n - 1].listener, index->owners[i].listener))
                        index->owners[n++] = index->owners[i];

        index->n_owners = n;
}

static int match_index_compare_with_owner(const void *listener, const void *owner) {
        return strcmp(listener, ((const MatchOwner *) owner)->listener);
}

/* Returns the highest RoutePriority= of the routes that have @listener to themselves, or INT64_MIN. */
static int64_t match_index_owner_priority(const MatchIndex *index, const char *listener) {
        const MatchOwner *owner = NULL;

        if (index->n_owners > 0)
                owner = bsearch(listener, index->owners, index->n_owners, sizeof(*index->owners), match_index_compare_with_owner);

        return owner ? owner->priority : INT64_MIN;
}

int match_index_finish(MatchIndex *index) {
        size_t n = 2, n_used = 0;

        if (index->n_entries > 0)
                qsort(index->entries, index->n_entries, sizeof(*index->entries), match_index_compare_entries);

        for (size_t i = 0; i < index->n_entries; i++)
                n_used += (size_t) match_index_begins_host(index, i) + (size_t) match_index_begins_path(index, i);

        while (n < n_used * 2 + 2)
                n *= 2;

        index->buckets = calloc(n, sizeof(*index->buckets));
        if (!index->buckets)
                return -ENOMEM;
        index->n_buckets = n;

        match_index_sort_owners(index);
        match_index_fill_buckets(index);
        return header_index_finish(index->headers);
}

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

static bool match_index_leaves_to_owner(const RouteMatch *m, int64_t owner_priority) {
        return !m->listeners && m->priority <= owner_priority;
}

static bool match_index_takes_the_rest(const MatchSearch *s, const MatchEntry *e) {
        const RouteMatch *m = e->match;

        return !match_index_leaves_to_owner(m, s->owner_priority) && match_takes_all_but_indexed(m, s->facts) &&
               (!e->prefix || match_takes_bytes(e->prefix, s->facts)) &&
               (m->n_headers == 0 || s->facts->is_any_request || header_index_takes(s->index->headers, m));
}

/* Searches the entries, which are sorted by rank, for one that is better than MatchSearch.best. */
static void match_index_search_bucket(MatchSearch *s, const MatchBucket *bucket) {
        for (size_t i = 0; i < bucket->n_entries; i++) {
                const MatchEntry *e = &bucket->entries[i];

                /* This entry and all later ones are not better than the best one so far. */
                if (s->best && match_rank_compare(s->best, e, NULL) <= 0)
                        return;

                if (e->match->n_sources > 0)
                        s->result->by_source = true;
                if (match_index_takes_the_rest(s, e)) {
                        s->best = e;
                        return;
                }
        }
}

/* For "/a/b/c" searches "/", then "/a", then "/a/b", then "/a/b/c". */
static void match_index_search_paths(MatchSearch *s, uint64_t hash, const char *host) {
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
                        match_index_search_bucket(s, bucket);
        }
}

static void match_index_search_host(MatchSearch *s, const char *host) {
        uint64_t hash = hash_string_more(HASH_BEGIN, host);
        const MatchBucket *bucket = match_index_find_bucket(s->index, hash, host, (Slice){});

        if (!bucket->entries)
                return;

        if (*host)
                s->result->host_is_known = true;

        match_index_search_bucket(s, bucket);

        if (bucket->n_of_host > bucket->n_entries && s->path.n > 0)
                match_index_search_paths(s, hash, host);
}

/* Writes the wildcard of the names that end with @dot: "*.example.org". */
static const char *match_index_make_wildcard(const char *dot, char ret[static PROBE_NAME_MAX + 3]) {
        ret[0] = '*';
        memcpy(ret + 1, dot, strlen(dot) + 1);
        return ret;
}

/* Looks a client up by one reading of its path. */
static void match_index_find_reading(const MatchIndex *index, const ClientFacts *facts, Slice path, MatchResult *ret) {
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
                match_index_search_host(&s, facts->host->text);

                /* For "a.b.example.org" searches "*.b.example.org", then "*.example.org", then "*.org". */
                for (const char *dot = strchr(facts->host->text, '.'); dot; dot = strchr(dot + 1, '.'))
                        match_index_search_host(&s, match_index_make_wildcard(dot, pattern));
        }
        match_index_search_host(&s, "");

        if (s.best) {
                ret->found = true;
                ret->pool = s.best->pool;
                ret->match = s.best->match;
        }
}

/* Adds the paths of a host to @paths, and returns their number: 0 or 1. */
static size_t match_index_list_host(const MatchIndex *index, const char *host, MatchPaths *ret) {
        const MatchBucket *b = match_index_find_bucket(index, hash_string_more(HASH_BEGIN, host), host, (Slice){});

        if (!b->entries || b->n_of_host == b->n_entries)
                return 0;

        *ret = (MatchPaths){ b->entries + b->n_entries, b->n_of_host - b->n_entries };
        return 1;
}

/* Lists the paths of all names by which a client of @host is looked up. Returns the number of names that have paths. */
static size_t match_index_list(const MatchIndex *index, const ProbeName *host, MatchPaths ret[static MATCH_NAMES_MAX]) {
        size_t n = match_index_list_host(index, "", &ret[0]);
        char pattern[PROBE_NAME_MAX + 3];

        if (!host || host->n == 0)
                return n;

        n += match_index_list_host(index, host->text, &ret[n]);
        for (const char *dot = strchr(host->text, '.'); dot; dot = strchr(dot + 1, '.'))
                n += match_index_list_host(index, match_index_make_wildcard(dot, pattern), &ret[n]);

        return n;
}

/* Looks a client up by all readings of its path. */
static void match_index_find_readings(const MatchIndex *index, const ClientFacts *facts, MatchResult *ret) {
        MatchPaths paths[MATCH_NAMES_MAX];
        size_t n = match_index_list(index, facts->host, paths);
        MatchPlaces places;

        if (n == 0) {
                match_index_find_reading(index, facts, facts->path, ret);
                return;
        }

        if (!match_path_find_places(paths, n, index->path_max, facts->path, &places)) {
                *ret = (MatchResult){ .ambiguous_path = true };
                return;
        }

        for (size_t i = 0; i < places.n && (i == 0 || !ret->ambiguous_path); i++) {
                Slice path = places.items[i].path.n > 0 ? places.items[i].path : SLICE_LITERAL("/");
                MatchResult other;

                match_index_find_reading(index, facts, path, i == 0 ? ret : &other);
                if (i == 0)
                        continue;

                ret->ambiguous_path = ret->found != other.found || (ret->found && ret->pool != other.pool);
                ret->by_source = ret->by_source || other.by_source;
        }
}

void match_index_find(const MatchIndex *index, const ClientFacts *facts, MatchResult *ret) {
        header_index_begin(index->headers, facts->fields);

        if (facts->path.n == 0 || facts->path.p[0] != '/' || (!index->has_escapes && http_path_is_plain(facts->path)))
                match_index_find_reading(index, facts, facts->path, ret);
        else
                match_index_find_readings(index, facts, ret);
}

bool match_index_has_hosts(const MatchIndex *index) {
        return index->has_hosts;
}

bool match_is_for_listener(const RouteMatch *match, const char *listener) {
        return match_first_miss(match, &(ClientFacts){ .listener = listener }) != MATCH_LISTENER;
}

/* Returns the number of the first entry of the host whose path is @path or is sorted behind it. */
static size_t match_index_find_first(const MatchBucket *of_host, Slice path) {
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

        for (size_t i = match_index_find_first(bucket, prefix); i < bucket->n_of_host; i++) {
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

static bool match_index_one_prefix_needs_more(const RouteMatch *match, Slice head) {
        for (size_t i = 0; i < match->n_prefixes; i++)
                if (probe_prefix(head.p, head.n, (Slice){ match->prefixes[i].p, match->prefixes[i].n }) == PROBE_NEED_MORE)
                        return true;

        return false;
}

bool match_index_prefix_needs_more(const MatchIndex *index, const ClientFacts *facts) {
        for (size_t i = 0; i < index->n_prefixes; i++)
                if (match_is_for_listener(index->prefixes[i], facts->listener) &&
                    match_index_one_prefix_needs_more(index->prefixes[i], facts->head))
                        return true;

        return false;
}

bool match_index_needs_head(const MatchIndex *index, const char *listener) {
        int64_t owner_priority = match_index_owner_priority(index, listener);

        for (size_t i = 0; i < index->n_entries; i++) {
                const RouteMatch *m = index->entries[i].match;

                if (match_needs_head(m) && m->priority >= MAX(owner_priority, index->floor) &&
                    !match_index_leaves_to_owner(m, owner_priority) && match_is_for_listener(m, listener))
                        return true;
        }

        return false;
}

bool match_index_reaches(const MatchIndex *index, const RouteMatch *match, const char *listener) {
        return !match_index_leaves_to_owner(match, match_index_owner_priority(index, listener));
}

MatchCriterion match_explain_loss(const MatchIndex *index, const RouteMatch *loser, const RouteMatch *winner,
                                  const ClientFacts *facts) {
        int64_t owner_priority = facts->name ? INT64_MIN : match_index_owner_priority(index, facts->listener);

        if (loser->priority == winner->priority && match_index_leaves_to_owner(loser, owner_priority))
                return MATCH_BY_OWNER;

        return match_rank_explain(loser, winner, facts);
}
