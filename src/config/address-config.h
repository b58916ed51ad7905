/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Lists of addresses and networks: Source= of a route and TrustedProxies= of a listener. */

#include "config/config-parse.h"

/*
 * Appends the addresses and networks in the value of @a to the heap array *@items of *@n_items members. An empty value
 * empties it. Returns 0, also after it reported an error, or -ENOMEM.
 */
int config_parse_addresses(ConfigContext *c, const Assignment *a, AddressRange **items, size_t *n_items);

/* Parses an address, or a network with no host bits set. Returns false for anything else. */
bool config_parse_range(const char *word, AddressRange *ret);

/* Does the same, and takes the word "unix" too: every client that comes over AF_UNIX. */
int config_parse_peers(ConfigContext *c, const Assignment *a, AddressRange **items, size_t *n_items);
