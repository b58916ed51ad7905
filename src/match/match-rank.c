/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "match/match-rank.h"

/* Number of protocols of a route that takes any. It counts one more than there are, for those that are not known. */
#define PROTOCOLS_ANY 32

static uint16_t match_rank_saturate(size_t n) {
        return (uint16_t) MIN(n, (size_t) UINT16_MAX);
}

static size_t match_rank_count_strings(char **l) {
        size_t n = 0;

        while (l && l[n])
                n++;

        return n;
}

/*
 * Returns the protocols that a client can speak so that the route takes it. A key that reads a request or a hello
 * implies its protocol.
 */
static unsigned match_rank_protocols(const RouteMatch *m) {
        unsigned protocols = m->protocols ?: UINT32_MAX;

        if (m->hosts)
                protocols &= 1U << PROBE_HTTP | 1U << PROBE_TLS;
        if (m->paths || m->methods || m->n_headers > 0)
                protocols &= 1U << PROBE_HTTP;
        if (m->alpns)
                protocols &= 1U << PROBE_TLS;

        return protocols;
}

static unsigned match_rank_count_header_names(const RouteMatch *m) {
        unsigned n = 0;

        for (size_t i = 0; i < m->n_headers; i++)
                n += i == 0 || !streq(m->headers[i - 1].name, m->headers[i].name);

        return n;
}

static uint16_t match_rank_count_keys(const RouteMatch *m) {
        return match_rank_saturate((size_t) match_rank_count_header_names(m) + !!m->methods + !!m->alpns + (m->n_sources > 0) +
                                   (m->n_prefixes > 0));
}

static uint16_t match_rank_count_values(const RouteMatch *m) {
        return match_rank_saturate(match_rank_count_strings(m->listeners) + match_rank_count_strings(m->hosts) +
                                   match_rank_count_strings(m->paths) + match_rank_count_strings(m->methods) +
                                   match_rank_count_strings(m->alpns) + m->n_headers + m->n_sources + m->n_prefixes);
}

/* Returns the bits of the shortest prefix in Source=, because the route promises no more than that. 0: no Source=. */
static uint8_t match_rank_count_source_bits(const RouteMatch *m) {
        unsigned n = m->n_sources > 0 ? UINT8_MAX : 0;

        /* A network of 0 bits narrows, too: to the addresses of its family. */
        for (size_t i = 0; i < m->n_sources; i++)
                n = MIN(n, m->sources[i].n_bits + 1);

        return (uint8_t) n;
}

/*
 * Returns the weight of one pattern: 3 for each character that stands for itself, 1 for each "?" and bracket, 1 for a
 * pattern without "*". So of two patterns of which one matches all that the other matches, the narrower weighs more.
 */
static size_t match_rank_weigh_glob(const char *glob) {
        size_t n = 1;
        bool has_star = false;

        for (const char *p = glob; *p; p++)
                if (*p == '*')
                        has_star = true;
                else if (*p == '?')
                        n++;
                else if (*p == '[' && p[1] && strchr(p + 2, ']')) {
                        n++;
                        p = strchr(p + 2, ']'); /* the first character in a bracket may be "]" */
                } else {
                        p += *p == '\\' && p[1];
                        n += 3;
                }

        return n + !has_star;
}

/* Sums up the names. Of the patterns of one name the weakest counts, because the route promises no more than that. */
static uint16_t match_rank_weigh_headers(const RouteMatch *m) {
        size_t sum = 0;

        for (size_t i = 0, k; i < m->n_headers; i = k) {
                size_t weakest = SIZE_MAX;

                for (k = i; k < m->n_headers && streq(m->headers[k].name, m->headers[i].name); k++)
                        weakest = MIN(weakest, match_rank_weigh_glob(m->headers[k].glob));
                sum += weakest;
        }

        return match_rank_saturate(sum);
}

void match_rank_init(MatchEntry *e) {
        const RouteMatch *m = e->match;
        unsigned protocols = match_rank_protocols(m);

        e->prefix = NULL;
        e->n_prefix = 0;
        e->n_keys = match_rank_count_keys(m);
        e->n_protocols = protocols == UINT32_MAX ? PROTOCOLS_ANY : (uint8_t) __builtin_popcount(protocols);
        e->source_bits = match_rank_count_source_bits(m);
        e->header = match_rank_weigh_headers(m);
        e->n_values = match_rank_count_values(m);
}

void match_rank_set_prefix(MatchEntry *e, const BytesMatch *prefix) {
        e->prefix = prefix;
        e->n_prefix = match_rank_saturate(prefix->n);
}

/* Returns 0 for no host, 1 for a wildcard, 2 for an exact host. */
static unsigned match_rank_host_class(const MatchEntry *e) {
        return e->host[0] == 0 ? 0 : e->host[0] == '*' ? 1 : 2;
}

/*
 * Returns the weight of @e by one criterion. The entry with the larger weight is better. An earlier criterion decides
 * first.
 */
static int64_t match_rank_weight(const MatchEntry *e, MatchCriterion criterion) {
        switch (criterion) {

        case MATCH_BY_PRIORITY:
                return e->match->priority;

        case MATCH_BY_HOST:
                /*
                 * The longer wildcard wins. Two exact hosts that take the same client are equal, so their length does
                 * not matter.
                 */
                return (int64_t) match_rank_host_class(e) << 32 | (int64_t) strlen(e->host);

        case MATCH_BY_PATH:
                return e->path ? (int64_t) strlen(e->path) : -1;

        case MATCH_BY_KEYS:
                return e->n_keys;

        case MATCH_BY_PROTOCOL:
                return -e->n_protocols;

        case MATCH_BY_LISTENER:
                return e->match->listeners != NULL;

        case MATCH_BY_TLS:
                return e->match->tls != TLS_MATCH_ANY;

        case MATCH_BY_PREFIX:
                return e->n_prefix;

        case MATCH_BY_SOURCE:
                return e->source_bits;

        case MATCH_BY_HEADER:
                return e->header;

        case MATCH_BY_VALUES:
                return -e->n_values;

        case MATCH_BY_OWNER:
        case MATCH_BY_NAME:
        default:
                return 0;
        }
}

int match_rank_compare(const MatchEntry *a, const MatchEntry *b, MatchCriterion *ret_criterion) {
        for (MatchCriterion c = MATCH_BY_PRIORITY; c < MATCH_BY_NAME; c++) {
                int64_t x = match_rank_weight(a, c), y = match_rank_weight(b, c);

                if (x == y)
                        continue;

                if (ret_criterion)
                        *ret_criterion = c;
                return x > y ? -1 : 1;
        }

        return 0;
}

/* Returns the best alternative of the route among those that take the client. */
static MatchEntry match_rank_entry_for(const RouteMatch *m, const ClientFacts *facts) {
        MatchEntry e = { .match = m, .host = "" };

        match_rank_init(&e);

        for (char **h = m->hosts; h && *h; h++) {
                MatchEntry other = { .match = m, .host = *h };
                char *const list[] = { *h, NULL };
                const RouteMatch one = { .hosts = (char **) (uintptr_t) list };

                if (match_first_miss(&one, facts) == MATCH_NO_MISS && match_rank_weight(&other, MATCH_BY_HOST) > match_rank_weight(&e, MATCH_BY_HOST))
                        e.host = *h;
        }

        for (char **p = m->paths; p && *p; p++)
                if (http_path_has_prefix(facts->path, slice_from_string(*p)) && (!e.path || strlen(*p) > strlen(e.path)))
                        e.path = *p;

        for (size_t i = 0; i < m->n_prefixes; i++)
                if (slice_has_prefix(facts->head, (Slice){ m->prefixes[i].p, m->prefixes[i].n }) &&
                    m->prefixes[i].n > e.n_prefix)
                        match_rank_set_prefix(&e, &m->prefixes[i]);

        return e;
}

MatchCriterion match_rank_explain(const RouteMatch *loser, const RouteMatch *winner, const ClientFacts *facts) {
        MatchEntry a = match_rank_entry_for(loser, facts), b = match_rank_entry_for(winner, facts);
        MatchCriterion criterion = MATCH_BY_NAME;

        (void) match_rank_compare(&a, &b, &criterion);
        return criterion;
}
