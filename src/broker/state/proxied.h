/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Facts of a PROXY header, for clients whose workers got no metadata (ListenStream=, Metadata=none). Such a worker hands
 * a client back without its addresses, and the socket has those of the load balancer.
 *
 * The kernel's number of the socket (SO_COOKIE) finds the entry. There are 4,096 entries, of 88 bytes and up to
 * PROXY_KEPT_MAX bytes of TLVs each. A new one replaces the oldest of four, so an entry can be missing. A client without
 * one has to end, because its source is not known (returned.c).
 */

#include "broker/state/client.h"

typedef struct ProxiedEntry ProxiedEntry;

typedef struct ProxiedTable {
        ProxiedEntry *entries; /* owned; NULL: there was no such client yet */
        uint64_t n_noted;      /* entries so far */
} ProxiedTable;

typedef struct ProxiedClient {
        ClientAddress address; /* Client.address */
        ClientAddress local;   /* Client.local */
        Slice tlvs;            /* TLVs of the header; n is 0: none. Borrowed until the next entry is made */
} ProxiedClient;

void proxied_done(ProxiedTable *table);

/* Makes an entry of the client, or replaces its entry. Makes none if there is no memory. */
void proxied_note(ProxiedTable *table, const Client *c);

/* Finds what is known of the client @fd. Returns false if that is nothing. */
bool proxied_find(const ProxiedTable *table, int fd, ProxiedClient *ret);
