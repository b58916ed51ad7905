/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "connections/source-counts.h"

#include <sys/random.h>

#include "basic/hash.h"
#include "basic/macro.h"

#define FIRST_SIZE ((size_t) 64)

static size_t source_counts_home(const SourceCounts *s, uint64_t source) {
        return mix64(source ^ s->secret) & (s->n_counts - 1);
}

/* Returns the place of @source, or the free one where it belongs. */
static SourceCount *source_counts_find(const SourceCounts *s, uint64_t source) {
        size_t i = source_counts_home(s, source);

        while (s->counts[i].n > 0 && s->counts[i].source != source)
                i = (i + 1) & (s->n_counts - 1);

        return &s->counts[i];
}

static int source_counts_grow(SourceCounts *s) {
        SourceCounts larger = { .n_counts = MAX(2 * s->n_counts, FIRST_SIZE), .n_used = s->n_used, .secret = s->secret };

        /* Without random numbers the table works, only slower under an attack. */
        if (s->n_counts == 0)
                (void) !getrandom(&larger.secret, sizeof(larger.secret), GRND_NONBLOCK);

        larger.counts = calloc(larger.n_counts, sizeof(*larger.counts));
        if (!larger.counts)
                return -ENOMEM;

        for (size_t i = 0; i < s->n_counts; i++)
                if (s->counts[i].n > 0)
                        *source_counts_find(&larger, s->counts[i].source) = s->counts[i];

        free(s->counts);
        *s = larger;
        return 0;
}

int source_counts_add(SourceCounts *s, uint64_t source) {
        SourceCount *count;

        if (2 * s->n_used >= s->n_counts) {
                int r = source_counts_grow(s);
                if (r < 0)
                        return r;
        }

        count = source_counts_find(s, source);
        s->n_used += count->n == 0;
        count->source = source;
        count->n++;
        return 0;
}

/* Moves counts behind the free place @i to it, until none is beyond its home any more. */
static void source_counts_close_gap(SourceCounts *s, size_t i) {
        size_t mask = s->n_counts - 1;

        for (size_t k = (i + 1) & mask; s->counts[k].n > 0; k = (k + 1) & mask)
                if (((k - source_counts_home(s, s->counts[k].source)) & mask) >= ((k - i) & mask)) {
                        s->counts[i] = s->counts[k];
                        s->counts[k].n = 0;
                        i = k;
                }
}

void source_counts_remove(SourceCounts *s, uint64_t source) {
        SourceCount *count;

        if (s->n_counts == 0)
                return;

        count = source_counts_find(s, source);
        if (count->n == 0 || --count->n > 0)
                return;

        s->n_used--;
        source_counts_close_gap(s, (size_t) (count - s->counts));
}

unsigned source_counts_get(const SourceCounts *s, uint64_t source) {
        return s->n_counts > 0 ? source_counts_find(s, source)->n : 0;
}

void source_counts_done(SourceCounts *s) {
        free(TAKE_PTR(s->counts));
        *s = (SourceCounts){};
}
