/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * How many clients in the broker come from one place: an IPv4 address, also one that a translator put into IPv6, or an
 * IPv6 network of 64 bits, which is what one subscriber gets (RFC 6177); on a link each host is one. One place must not
 * take the room of all others.
 */

#include "broker/state/client.h"

struct Source {
        Source *next;     /* in its bucket, or of the free ones */
        uint64_t key[2];
        unsigned n_clients;
        unsigned n_parked;
        List parked;      /* Client.second_link, the oldest first */
        List parked_link; /* SourceTable.by_parked, by the logarithm of @n_parked */
        unsigned n_queued; /* of these, in pools' queues */
};

/* Sources with 2^i to 2^(i+1) - 1 parked clients are in class i. */
#define SOURCE_CLASSES 32

typedef struct SourceTable {
        Source *sources;  /* as many as there may be clients */
        size_t n_sources;
        size_t n_touched;
        Source *free;
        Source **buckets;
        size_t n_buckets; /* a power of two */
        List by_parked[SOURCE_CLASSES]; /* Source.parked_link */
        uint64_t secret;  /* nobody outside can choose addresses that fall into one bucket */
} SourceTable;

int source_table_init(SourceTable *table, size_t n_clients);
void source_table_done(SourceTable *table);

/* The place that a client comes from as a number, the same in every process. */
uint64_t source_hash(const ClientAddress *address);

/*
 * Counts the client, by Client.address, unless @max others of its source are there: then false. A client that
 * does not come by IP is not counted.
 */
bool source_get(SourceTable *table, Client *c, unsigned max);

/* The source of this address; NULL if no client of it is counted. */
Source *source_find(const SourceTable *table, const ClientAddress *address);

/* Counts the client among the parked ones of its source, or no more. Does nothing for one that is not counted. */
void source_park(SourceTable *table, Client *c);
void source_unpark(SourceTable *table, Client *c);

/* The client of this source that has been parked for the longest; NULL: none is. */
Client *source_oldest_parked(const Source *s);

/* The same of a source that no other has twice as many parked clients as. */
Client *source_fullest_oldest(const SourceTable *table);

/* Counts it no more. Does nothing for one that is not counted. */
void source_put(SourceTable *table, Client *c);
