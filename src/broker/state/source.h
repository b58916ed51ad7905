/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Counts the clients in the broker by source, so that one source can't take the places of all others. A source is one
 * of these:
 *
 * - an IPv4 address, also one that a translator put into an IPv6 address
 * - an IPv6 network of 64 bits, because one subscriber gets at least that (RFC 6177)
 * - a single IPv6 address on a link (fe80::/64)
 */

#include "broker/state/client.h"
#include "connections/connection.h"

struct Source {
        Source *next;     /* next source in its bucket, or next free one */
        uint64_t key[2];
        unsigned n_clients;
        unsigned n_parked;
        List parked;      /* Client.second.link, the oldest first */
        List parked_link; /* SourceTable.by_parked, in the class of @n_parked */
        unsigned n_queued; /* clients of it in queues of pools */
};

/* Number of classes. Sources with 2^i to 2^(i+1) - 1 parked clients are in class i. */
#define SOURCE_CLASSES 32

typedef struct SourceTable {
        Source *sources;  /* as many as there may be clients */
        size_t n_sources;
        size_t n_touched;
        Source *free;
        Source **buckets;
        size_t n_buckets; /* a power of two */
        List by_parked[SOURCE_CLASSES]; /* Source.parked_link, by class */
        uint64_t secret;  /* random, otherwise a client could choose addresses that fall into one bucket */
} SourceTable;

int source_table_init(SourceTable *table, size_t n_clients);
void source_table_done(SourceTable *table);

/* Writes the key of the source of this address, which is not { 0, 0 }. Returns false for a client that comes not by IP. */
bool source_key(const ClientAddress *address, uint64_t ret[static 2]);

/* Returns the source of a live connection as a number (connections/source-counts.h). */
uint64_t source_of_connection(const Connection *c);

/* Returns a hash of the source of this address. It is the same in every process. */
uint64_t source_hash(const ClientAddress *address);

/*
 * Counts the client for the source of Client.address. Returns false, and does not count it, if that source has @max
 * clients. A client that does not come by IP is not counted, and the result is true.
 */
bool source_get(SourceTable *table, Client *c, unsigned max);

/* Returns the source of this address, or NULL if none of its clients is counted. */
Source *source_find(const SourceTable *table, const ClientAddress *address);

/*
 * Counts the client among the parked ones of its source, or no longer. Does nothing for a client that is not counted.
 */
void source_park(SourceTable *table, Client *c);
void source_unpark(SourceTable *table, Client *c);

/* Returns the client of this source that was parked first, or NULL. */
Client *source_oldest_parked(const Source *s);

/*
 * Returns the client that was parked first of a source with many parked clients, or NULL. No other source has twice as
 * many.
 */
Client *source_fullest_oldest(const SourceTable *table);

/* Ends the counting of this client. Does nothing for a client that is not counted. */
void source_put(SourceTable *table, Client *c);
