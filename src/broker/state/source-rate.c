/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/state/source-rate.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>

#include "basic/hash.h"

#define N_PARTS 8U

/* Sources that share a bucket. A new one looks at all of them. */
#define N_WAYS 8U

#define N_BUCKETS 8192U

/* The connections of one source in the last interval. */
typedef struct RatedSource {
        uint64_t key[2];     /* of source_key(); { 0, 0 }: the place is free */
        usec_t began_at;     /* begin of the newest part, CLOCK_MONOTONIC */
        uint32_t n[N_PARTS]; /* connections in each part; @newest and the seven before it, as in a ring */
        uint32_t sum;        /* of @n */
        uint32_t newest;     /* index in @n */
} RatedSource;

struct SourceRates {
        SourceRate rate;     /* @rate.n is 0: there is no limit yet */
        uint64_t secret;     /* random, otherwise a client could choose networks that fall into one bucket */
        RatedSource counts[N_BUCKETS * N_WAYS];
};

int source_rates_reserve(SourceRates **rates) {
        SourceRates *made;

        if (*rates)
                return 0;

        made = calloc(1, sizeof(*made));
        if (!made)
                return -ENOMEM;

        if (getrandom(&made->secret, sizeof(made->secret), 0) != sizeof(made->secret)) {
                int r = -errno;

                source_rates_free(made);
                return r;
        }

        *rates = made;
        return 0;
}

void source_rates_set(SourceRates **rates, const SourceRate *rate) {
        if (rate->n == 0) {
                *rates = source_rates_free(*rates);
                return;
        }

        /* The parts of another interval have another length. */
        if ((*rates)->rate.n > 0 && (*rates)->rate.interval != rate->interval)
                memset((*rates)->counts, 0, sizeof((*rates)->counts));

        (*rates)->rate = *rate;
}

SourceRates *source_rates_free(SourceRates *rates) {
        free(rates);
        return NULL;
}

/* Forgets the connections that were made before the last interval. @part is an eighth of it. */
static void source_rate_update(RatedSource *s, usec_t now, usec_t part) {
        uint64_t passed = now > s->began_at ? (now - s->began_at) / part : 0;

        for (uint64_t i = 0; i < MIN(passed, (uint64_t) N_PARTS); i++) {
                s->newest = (s->newest + 1) % N_PARTS;
                s->sum -= s->n[s->newest];
                s->n[s->newest] = 0;
        }

        /* The first connection begins a part, so that the limit holds for a whole interval from then on. */
        s->began_at = s->sum > 0 ? s->began_at + passed * part : now;
}

static RatedSource *source_rate_find(SourceRates *rates, const uint64_t key[static 2], usec_t now) {
        uint64_t hash = mix64(key[0] ^ mix64(key[1] ^ rates->secret));
        RatedSource *bucket = &rates->counts[hash % N_BUCKETS * N_WAYS], *least = bucket;

        for (size_t i = 0; i < N_WAYS; i++)
                if (bucket[i].key[0] == key[0] && bucket[i].key[1] == key[1]) {
                        source_rate_update(&bucket[i], now, rates->rate.interval / N_PARTS);
                        return &bucket[i];
                }

        for (size_t i = 0; i < N_WAYS; i++) {
                source_rate_update(&bucket[i], now, rates->rate.interval / N_PARTS);
                if (bucket[i].sum < least->sum)
                        least = &bucket[i];
        }

        *least = (RatedSource){ .key = { key[0], key[1] }, .began_at = now };
        return least;
}

bool source_rates_count(SourceRates *rates, const ClientAddress *address, usec_t now) {
        RatedSource *s;
        uint64_t key[2];

        if (!rates || rates->rate.n == 0 || !source_key(address, key))
                return true;

        s = source_rate_find(rates, key, now);
        if (s->sum >= rates->rate.n)
                return false;

        s->n[s->newest]++;
        s->sum++;
        return true;
}

const char *source_rate_to_text(const SourceRate *rate, char ret[static SOURCE_RATE_TEXT_MAX]) {
        usec_t t = rate->interval;

        if (t == 0)
                (void) snprintf(ret, SOURCE_RATE_TEXT_MAX, "%u", rate->n);
        else if (t % USEC_PER_SEC == 0)
                (void) snprintf(ret, SOURCE_RATE_TEXT_MAX, "%u/%" PRIu64 "s", rate->n, t / USEC_PER_SEC);
        else if (t % USEC_PER_MSEC == 0)
                (void) snprintf(ret, SOURCE_RATE_TEXT_MAX, "%u/%" PRIu64 "ms", rate->n, t / USEC_PER_MSEC);
        else
                (void) snprintf(ret, SOURCE_RATE_TEXT_MAX, "%u/%" PRIu64 "us", rate->n, t);

        return ret;
}
