/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * All routes by host: a hash table of buckets, one for each name that a Host= line mentions and one for the
 * routes without. A client looks into the bucket of its own host, into those of the wildcards above it (at
 * most one for each label) and into the last one; within a bucket the first entry that takes it is the best.
 */

#include "basic/hash.h"
#include "broker/match.h"

/* One alternative of one route: a single host and a single path of its lists. */
typedef struct Entry {
        const RouteMatch *match;
        const char *unit;
        size_t pool;
        const char *host;      /* as in RouteMatch.hosts; "" for none */
        const char *path;      /* NULL: any */
        unsigned n_keys;       /* see weight() */
        unsigned source_bits;
} Entry;

typedef struct Bucket {
        const char *host;      /* NULL: this place of the table is free */
        const Entry *entries;
        size_t n_entries;
} Bucket;

struct MatchIndex {
        Entry *entries;
        size_t n_entries;
        size_t n_allocated;

        Bucket *buckets;
        size_t n_buckets;      /* a power of two, at least twice what is used */
};

int match_index_new(MatchIndex **ret) {
        MatchIndex *index = calloc(1, sizeof(*index));

        if (!index)
                return -ENOMEM;

        *ret = index;
        return 0;
}

MatchIndex *match_index_free(MatchIndex *index) {
        if (!index)
                return NULL;

        free(index->entries);
        free(index->buckets);
        free(index);
        return NULL;
}

static unsigned count_keys(const RouteMatch *m) {
        unsigned n = 0;

        for (size_t i = 0; i < m->n_headers; i++)
                n += i == 0 || !streq(m->headers[i - 1].name, m->headers[i].name);

        return n + !!m->methods + !!m->alpns + !!m->protocols + (m->n_sources > 0) + (m->n_prefixes > 0);
}

/* The shortest of the alternatives: that much is certain. */
static unsigned count_source_bits(const RouteMatch *m) {
        unsigned n = m->n_sources > 0 ? UINT8_MAX : 0;

        for (size_t i = 0; i < m->n_sources; i++)
                n = MIN(n, m->sources[i].n_bits);

        return n;
}

static int add_entry(MatchIndex *index, const Entry *template, const char *host, const char *path) {
        if (index->n_entries == index->n_allocated) {
                size_t n = MAX(index->n_allocated * 2, (size_t) 16);
                Entry *entries = reallocarray(index->entries, n, sizeof(*entries));

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

static int add_host(MatchIndex *index, const Entry *template, const char *host) {
        int r;

        if (!template->match->paths)
                return add_entry(index, template, host, NULL);

        for (char **path = template->match->paths; *path; path++) {
                r = add_entry(index, template, host, *path);
                if (r < 0)
                        return r;
        }

        return 0;
}

int match_index_add(MatchIndex *index, const RouteMatch *match, const char *unit, size_t pool) {
        const Entry template = {
                .match = match,
                .unit = unit,
                .pool = pool,
                .n_keys = count_keys(match),
                .source_bits = count_source_bits(match),
        };
        int r;

        if (!match->hosts)
                return add_host(index, &template, "");

        for (char **host = match->hosts; *host; host++) {
                r = add_host(index, &template, *host);
                if (r < 0)
                        return r;
        }

        return 0;
}

/* 0: no host, 1: a wildcard, 2: exact. */
static unsigned host_class(const Entry *e) {
        return e->host[0] == 0 ? 0 : e->host[0] == '*' ? 1 : 2;
}

/* What goes before what, the first difference counts. More is better. */
static int64_t weight(const Entry *e, MatchCriterion criterion) {
        switch (criterion) {

        case MATCH_BY_PRIORITY:
                return e->match->priority;

        case MATCH_BY_HOST:
                /* The longer wildcard. Exact names that take the same client are the same name. */
                return (int64_t) host_class(e) << 32 | (int64_t) strlen(e->host);

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
 * The rank within one bucket, and, of entries that take the same client, over all. Negative: @a goes first.
 * *ret_criterion, if asked for, is what decided.
 */
static int rank(const Entry *a, const Entry *b, MatchCriterion *ret_criterion) {
        for (MatchCriterion c = MATCH_BY_PRIORITY; c < MATCH_BY_NAME; c++) {
                int64_t x = weight(a, c), y = weight(b, c);

                if (x == y)
                        continue;

                if (ret_criterion)
                        *ret_criterion = c;
                return x > y ? -1 : 1;
        }

        return 0;
}

static int compare_entries(const void *x, const void *y) {
        const Entry *a = x, *b = y;
        int d = strcmp(a->host, b->host);

        if (d == 0)
                d = rank(a, b, NULL);
        if (d == 0)
                d = strcmp(a->unit, b->unit);

        return d;
}

/* The bucket of this name, or the free place where it would be. */
static Bucket *find_bucket(const MatchIndex *index, const char *host) {
        /* The names in the table are the administrator's: nobody else can make them collide. */
        for (size_t i = hash_string(host);; i++) {
                Bucket *bucket = &index->buckets[i & (index->n_buckets - 1)];

                if (!bucket->host || streq(bucket->host, host))
                        return bucket;
        }
}

int match_index_finish(MatchIndex *index) {
        size_t n = 2;

        if (index->n_entries > 0)
                qsort(index->entries, index->n_entries, sizeof(*index->entries), compare_entries);

        while (n < index->n_entries * 2 + 2)
                n *= 2;

        index->buckets = calloc(n, sizeof(*index->buckets));
        if (!index->buckets)
                return -ENOMEM;
        index->n_buckets = n;

        for (size_t i = 0; i < index->n_entries; i++) {
                const Entry *e = &index->entries[i];
                Bucket *bucket = find_bucket(index, e->host);

                if (!bucket->host)
                        *bucket = (Bucket){ .host = e->host, .entries = e };
                bucket->n_entries++;
        }

        return 0;
}

typedef struct Search {
        const MatchIndex *index;
        const Facts *facts;
        bool path_is_ambiguous;
        const Entry *best;
        MatchResult *result;
} Search;

/* True where the entry takes the client, or would if servers agreed on what its path is. */
static bool entry_takes(Search *s, const Entry *e) {
        if (e->path && s->facts->path.n == 0)
                return false;
        if (e->path && !s->path_is_ambiguous && !http_path_has_prefix(s->facts->path, slice_from_string(e->path)))
                return false;
        if (!match_takes_all_but_host_and_path(e->match, s->facts))
                return false;

        if (e->path && s->path_is_ambiguous)
                s->result->ambiguous_path = true;
        return true;
}

static void search_bucket(Search *s, const char *host) {
        const Bucket *bucket = find_bucket(s->index, host);

        if (!bucket->host)
                return;

        if (*host)
                s->result->host_is_known = true;

        for (size_t i = 0; i < bucket->n_entries; i++) {
                const Entry *e = &bucket->entries[i];

                /* From here on they all rank behind what was found. */
                if (s->best && rank(s->best, e, NULL) <= 0)
                        return;

                if (entry_takes(s, e)) {
                        s->best = e;
                        return;
                }
        }
}

/* "a.b.example.org": "*.b.example.org", then "*.example.org", then "*.org". */
static void search_wildcards(Search *s, const ProbeName *host) {
        char pattern[PROBE_NAME_MAX + 3];

        for (const char *dot = strchr(host->text, '.'); dot; dot = strchr(dot + 1, '.')) {
                pattern[0] = '*';
                memcpy(pattern + 1, dot, strlen(dot) + 1);
                search_bucket(s, pattern);
        }
}

void match_index_find(const MatchIndex *index, const Facts *facts, MatchResult *ret) {
        Search s = {
                .index = index,
                .facts = facts,
                .path_is_ambiguous = facts->path.n > 0 && http_path_is_ambiguous(facts->path),
                .result = ret,
        };

        *ret = (MatchResult){};

        if (facts->host && facts->host->n > 0) {
                search_bucket(&s, facts->host->text);
                search_wildcards(&s, facts->host);
        }
        search_bucket(&s, "");

        if (s.best) {
                ret->found = true;
                ret->pool = s.best->pool;
        }
}

/* The alternative by which the route takes the client. */
static Entry entry_for(const RouteMatch *m, const Facts *facts) {
        Entry e = { .match = m, .host = "", .n_keys = count_keys(m), .source_bits = count_source_bits(m) };

        for (char **h = m->hosts; h && *h; h++) {
                Entry other = { .match = m, .host = *h };
                char *const list[] = { *h, NULL };
                const RouteMatch one = { .hosts = (char **) (uintptr_t) list };

                if (match_first_miss(&one, facts) == MATCH_ALL && weight(&other, MATCH_BY_HOST) > weight(&e, MATCH_BY_HOST))
                        e.host = *h;
        }

        for (char **p = m->paths; p && *p; p++)
                if (http_path_has_prefix(facts->path, slice_from_string(*p)) && (!e.path || strlen(*p) > strlen(e.path)))
                        e.path = *p;

        return e;
}

MatchCriterion match_why_behind(const RouteMatch *loser, const RouteMatch *winner, const Facts *facts) {
        Entry a = entry_for(loser, facts), b = entry_for(winner, facts);
        MatchCriterion criterion = MATCH_BY_NAME;

        (void) rank(&a, &b, &criterion);
        return criterion;
}
