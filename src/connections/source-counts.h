/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Counts live connections by source. A source is a number, of which the caller makes one for each address. */

#include <stddef.h>
#include <stdint.h>

typedef struct Connection Connection;

/* Returns the source of a connection. It must be the same for the same address in every call. */
typedef uint64_t SourceOf(const Connection *c);

typedef struct SourceCount {
        uint64_t source;
        uint32_t n;         /* 0: the place is free */
} SourceCount;

/* A hash table with open addressing, at most half full. */
typedef struct SourceCounts {
        SourceCount *counts;
        size_t n_counts;    /* a power of two, or 0 */
        size_t n_used;
        uint64_t secret;    /* random, otherwise clients could choose addresses that fall side by side */
} SourceCounts;

/* Counts one more connection. Returns 0 or -ENOMEM. */
int source_counts_add(SourceCounts *s, uint64_t source);

/* Counts one connection less. Does nothing for a source that has none. */
void source_counts_remove(SourceCounts *s, uint64_t source);

unsigned source_counts_get(const SourceCounts *s, uint64_t source);

void source_counts_done(SourceCounts *s);
