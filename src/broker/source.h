/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * How many clients in the broker come from one place: an IPv4 address, also one that a translator put into IPv6, or an
 * IPv6 network of 64 bits, which is what one subscriber gets (RFC 6177); on a link each host is one. One place must not
 * take the room of all others.
 */

#include "broker/client.h"

struct Source {
        Source *next;     /* in its bucket, or of the free ones */
        uint64_t key[2];
        unsigned n_clients;
        unsigned n_queued; /* of these, in pools' queues */
};

typedef struct SourceTable {
        Source *sources;  /* as many as there may be clients */
        size_t n_sources;
        size_t n_touched;
        Source *free;
        Source **buckets;
        size_t n_buckets; /* a power of two */
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

/* Counts it no more. Does nothing for one that is not counted. */
void source_put(SourceTable *table, Client *c);
