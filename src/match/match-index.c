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
#include "match/match.h"

/* The entries of one host, or of one host and one path. The first entry has the name of the bucket. */
typedef struct MatchBucket {
        const MatchEntry *entries;  /* borrowed from MatchIndex.entries; NULL: this place of the table is free */
        uint32_t n_entries;    /* entries to look at; in the bucket of a host only those without a path, maybe 0 */
        uint32_t n_of_host;    /* all entries of the host, those with a path last; 0: the bucket is of a path */
} MatchBucket;

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
        bool has_hosts;        /* a route has Host= */
        bool has_escapes;      /* a Path= has an escape, or a byte that clients may escape */
};

int match_index_new(MatchIndex **ret) {
        _cleanup_(match_index_freep) MatchIndex *index = calloc(1, sizeof(*index));
        int r;

        if (!index)
                return -ENOMEM;

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
        free(index->entries);
        free(index->buckets);
        free(index);
        return NULL;
}

static unsigned match_index_count_keys(const RouteMatch *m) {
        unsigned n = 0;

        for (size_t i = 0; i < m->n_headers; i++)
                n += i == 0 || !streq(m->headers[i - 1].name, m->headers[i].name);

        return n + !!m->methods + !!m->alpns + !!m->protocols + (m->n_sources > 0) + (m->n_prefixes > 0);
}

/* Returns the bits of the shortest prefix in Source=, because the route promises no more than that. 0: no Source=. */
static unsigned match_index_count_source_bits(const RouteMatch *m) {
        unsigned n = m->n_sources > 0 ? UINT8_MAX : 0;

        for (size_t i = 0; i < m->n_sources; i++)
                n = MIN(n, m->sources[i].n_bits);

        return n;
}

static int match_index_add_entry(MatchIndex *index, const MatchEntry *template, const char *host, const char *path) {
        if (index->n_entries == index->n_allocated) {
                size_t n = MAX(index->n_allocated * 2, (size_t) 16);
                MatchEntry *entries = reallocarray(index->entries, n, sizeof(*entries));

                if (!entries)
                        return -ENOMEM;

                index->entries = entries;
                index->n_allocated = n;
        }

        index->entries[index->n_entries] = *template;
        index->entries[index->n_entries].host = host;
        index->entries[index->n_entries].path = path;
        index->n_entries++;
        return 0;
}

static int match_index_add_host(MatchIndex *index, const MatchEntry *template, const char *host) {
        int r;

        if (!template->match->paths)
                return match_index_add_entry(index, template, host, NULL);

        for (char **path = template->match->paths; *path; path++) {
                r = match_index_add_entry(index, template, host, *path);
                if (r < 0)
                        return r;
        }

        return 0;
}

int match_index_add(MatchIndex *index, const RouteMatch *match, const char *unit, size_t pool) {
        const MatchEntry template = {
                .match = match,
                .unit = unit,
                .pool = pool,
                .n_keys = match_index_count_keys(match),
                .source_bits = match_index_count_source_bits(match),
        };
        int r;

        r = header_index_add(index->headers, match);
        if (r < 0)
                return r;

        if (match->n_prefixes > 0) {
                if (!ARRAY_GROW(index->prefixes, index->n_prefixes))
                        return -ENOMEM;
                index->prefixes[index->n_prefixes++] = match;
        }

        index->has_hosts = index->has_hosts || match->hosts;
        if (!match->hosts)
                return match_index_add_host(index, &template, "");

        for (char **host = match->hosts; *host; host++) {
                r = match_index_add_host(index, &template, *host);
                if (r < 0)
                        return r;
        }

        return 0;
}

/* Returns 0 for no host, 1 for a wildcard, 2 for an exact host. */
static unsigned match_index_host_class(const MatchEntry *e) {
        return e->host[0] == 0 ? 0 : e->host[0] == '*' ? 1 : 2;
}

/*
 * Returns the weight of @e by one criterion. The entry with the larger weight is better. An earlier criterion decides
 * first.
 */
static int64_t match_index_weight(const MatchEntry *e, MatchCriterion criterion) {
        switch (criterion) {

        case MATCH_BY_PRIORITY:
                return e->match->priority;

        case MATCH_BY_HOST:
                /*
                 * The longer wildcard wins. Two exact hosts that take the same client are equal, so their length does
                 * not matter.
                 */
                return (int64_t) match_index_host_class(e) << 32 | (int64_t) strlen(e->host);

        case MATCH_BY_PATH:
                return e->path ? (int64_t) strlen(e->path) : -1;

        case MATCH_BY_KEYS:
                return e->n_keys;

        case MATCH_BY_LISTENER:
                return e->match->listeners != NULL;

        case MATCH_BY_SOURCE:
                return e->source_bits;

        case MATCH_BY_NAME:
        default:
                return 0;
        }
}

/*
 * Compares two entries that take the same client, or are in one bucket. Returns a negative number if @a is better.
 * *ret_criterion is the criterion that decided. It is not set if the entries are equal. NULL: not wanted.
 */
static int match_index_rank(const MatchEntry *a, const MatchEntry *b, MatchCriterion *ret_criterion) {
        for (MatchCriterion c = MATCH_BY_PRIORITY; c < MATCH_BY_NAME; c++) {
                int64_t x = match_index_weight(a, c), y = match_index_weight(b, c);

                if (x == y)
                        continue;

                if (ret_criterion)
                        *ret_criterion = c;
                return x > y ? -1 : 1;
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
                d = match_index_rank(a, b, NULL);
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

        match_index_fill_buckets(index);
        return header_index_finish(index->headers);
}

/* Names by which a client is looked up: its own, one wildcard for each dot in it, and "". */
#define MATCH_NAMES_MAX (PROBE_NAME_MAX / 2 + 2)

typedef struct MatchSearch {
        const MatchIndex *index;
        const ClientFacts *facts;
        Slice path;            /* one reading of ClientFacts.path */
        const MatchEntry *best;
        MatchResult *result;
} MatchSearch;

static bool match_index_takes_the_rest(const MatchSearch *s, const RouteMatch *m) {
        return match_takes_all_but_indexed(m, s->facts) &&
               (m->n_headers == 0 || s->facts->is_any_request || header_index_takes(s->index->headers, m));
}

/* Searches the entries, which are sorted by rank, for one that is better than MatchSearch.best. */
static void match_index_search_bucket(MatchSearch *s, const MatchBucket *bucket) {
        for (size_t i = 0; i < bucket->n_entries; i++) {
                const MatchEntry *e = &bucket->entries[i];

                /* This entry and all later ones are not better than the best one so far. */
                if (s->best && match_index_rank(s->best, e, NULL) <= 0)
                        return;

                if (e->match->n_sources > 0)
                        s->result->by_source = true;
                if (match_index_takes_the_rest(s, e->match)) {
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
        MatchSearch s = { .index = index, .facts = facts, .path = path, .result = ret };
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

/* Returns the best alternative of the route among those that take the client. */
static MatchEntry match_index_entry_for(const RouteMatch *m, const ClientFacts *facts) {
        MatchEntry e = { .match = m, .host = "", .n_keys = match_index_count_keys(m), .source_bits = match_index_count_source_bits(m) };

        for (char **h = m->hosts; h && *h; h++) {
                MatchEntry other = { .match = m, .host = *h };
                char *const list[] = { *h, NULL };
                const RouteMatch one = { .hosts = (char **) (uintptr_t) list };

                if (match_first_miss(&one, facts) == MATCH_NO_MISS && match_index_weight(&other, MATCH_BY_HOST) > match_index_weight(&e, MATCH_BY_HOST))
                        e.host = *h;
        }

        for (char **p = m->paths; p && *p; p++)
                if (http_path_has_prefix(facts->path, slice_from_string(*p)) && (!e.path || strlen(*p) > strlen(e.path)))
                        e.path = *p;

        return e;
}

MatchCriterion match_explain_loss(const RouteMatch *loser, const RouteMatch *winner, const ClientFacts *facts) {
        MatchEntry a = match_index_entry_for(loser, facts), b = match_index_entry_for(winner, facts);
        MatchCriterion criterion = MATCH_BY_NAME;

        (void) match_index_rank(&a, &b, &criterion);
        return criterion;
}
