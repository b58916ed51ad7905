/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Facts that nothing but the message tells: those of a PROXY header, and those of a TLS stage. A worker that got no
 * metadata (ListenStream=, Metadata=none) hands a client back without them, and others may leave them out. Then the
 * socket has the addresses of the load balancer, and a client of TLS looks like one without.
 *
 * The kernel's number of the socket (SO_COOKIE) finds the entry. There are 4,096 entries, of 128 bytes and up to
 * PROXY_KEPT_MAX, FDPASS_SSL_MAX and two FDPASS_TEXT_MAX bytes each. A new one replaces the oldest of four, so an entry
 * can be missing. A client behind a load balancer that has none has to end, because its source is not known. One with
 * the kernel's TLS counts as one that gave no name (returned.c).
 */

#include "broker/state/client.h"

typedef struct ProxiedEntry ProxiedEntry;

typedef struct ProxiedTable {
        ProxiedEntry *entries; /* owned; NULL: there was no such client yet */
        uint64_t n_noted;      /* entries so far */
} ProxiedTable;

typedef struct ProxiedClient {
        Listener *listener;    /* Client.listener; borrowed */
        ClientAddress address; /* Client.address */
        ClientAddress local;   /* Client.local */
        Slice tlvs;            /* TLVs of the header; n is 0: none. Borrowed until the next entry is made */
        Slice ssl;             /* ClientContext.ssl, borrowed likewise, as the next two are; n is 0: none */
        Slice alpn;
        Slice authority;
} ProxiedClient;

void proxied_done(ProxiedTable *table);

/* Makes an entry of the client, or replaces its entry. Makes none if there is no memory. */
void proxied_note(ProxiedTable *table, const Client *c);

/* Finds what is known of the client @fd. Returns false if that is nothing. */
bool proxied_find(const ProxiedTable *table, int fd, ProxiedClient *ret);
