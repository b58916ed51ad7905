/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Every probe keeps two rules with any input: facts lie inside the bytes, and no cut of the stream
 * changes the outcome.
 */

#include <stdlib.h>

#include "probe-text.h"

/* Smaller than what the fuzzer makes, so that the limit is met too. */
#define FUZZ_MAX 2048

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void fuzz_assert(bool is_true) {
        if (!is_true)
                abort();
}

static inline void fuzz_assert_inside(Slice s, const uint8_t *data, size_t size) {
        fuzz_assert(s.n == 0 || (s.p >= data && s.n <= size && (size_t) (s.p - data) <= size - s.n));
}

/* A place to cut at that depends on the bytes and hits all of them in time. */
static inline size_t fuzz_cut(const uint8_t *data, size_t size) {
        uint32_t hash = 2166136261; /* FNV-1a */

        for (size_t i = 0; i < size; i++)
                hash = (hash ^ data[i]) * 16777619;

        return hash % (size + 1);
}

typedef ProbeVerdict (*FuzzProbe)(ProbeText *t, const uint8_t *p, size_t n);

/*
 * The first bytes alone say "need more", or the same as all of them. They lie in a block of their own,
 * where a sanitizer sees every byte that is read behind them.
 */
static inline void fuzz_split(const uint8_t *data, size_t size, FuzzProbe probe) {
        size_t cut = fuzz_cut(data, size);
        _cleanup_free_ uint8_t *head = malloc(MAX(cut, (size_t) 1));
        static ProbeText whole, part;
        ProbeVerdict v;

        if (!head)
                return;
        if (cut > 0)
                memcpy(head, data, cut);

        (void) probe(&whole, data, size);
        v = probe(&part, head, cut);
        fuzz_assert(v == PROBE_NEED_MORE || strcmp(part.text, whole.text) == 0);
}

static inline ProbeVerdict fuzz_text_client(ProbeText *t, const uint8_t *p, size_t n) {
        return probe_text_client(t, p, n, FUZZ_MAX);
}
