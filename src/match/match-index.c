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

#include "match/match-index.h"

#include <errno.h>

#include "basic/array.h"
#include "basic/hash.h"

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
MatchBucket *match_index_find_bucket(const MatchIndex *index, uint64_t hash, const char *host, Slice path) {
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
int64_t match_index_owner_priority(const MatchIndex *index, const char *listener) {
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
