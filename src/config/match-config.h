/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The keys of [X-FDPass] that select clients, and the parser of address lists, which a listener uses too. */

#include "config/route-draft.h"

/*
 * Appends the addresses and networks in the value of @a to the heap array *@items of *@n_items members. An empty value
 * empties it. Returns 0, also after it reported an error, or -ENOMEM.
 */
int config_parse_addresses(ConfigContext *c, const Assignment *a, AddressRange **items, size_t *n_items);

/* Moves the lists of @d to its route, sorted and without duplicates, and checks the size of the match. */
void match_config_finish(ConfigContext *c, RouteDraft *d);

void match_config_done(RouteMatch *m);

/* Parsers for tables. The comment names the field. All but InternalName= are lists. */
int config_parse_listeners(ConfigContext *c, const Assignment *a, void *field); /* RouteDraft.listeners */
int config_parse_hosts(ConfigContext *c, const Assignment *a, void *field);     /* RouteDraft.hosts */
int config_parse_paths(ConfigContext *c, const Assignment *a, void *field);     /* RouteDraft.paths */
int config_parse_methods(ConfigContext *c, const Assignment *a, void *field);   /* RouteDraft.methods */
int config_parse_alpns(ConfigContext *c, const Assignment *a, void *field);     /* RouteDraft.alpns */
int config_parse_protocols(ConfigContext *c, const Assignment *a, void *field); /* RouteMatch.protocols */
int config_parse_sources(ConfigContext *c, const Assignment *a, void *field);   /* RouteMatch.sources */
int config_parse_headers(ConfigContext *c, const Assignment *a, void *field);   /* RouteMatch.headers */
int config_parse_prefixes(ConfigContext *c, const Assignment *a, void *field);  /* RouteMatch.prefixes */
int config_parse_name(ConfigContext *c, const Assignment *a, void *field);      /* RouteMatch.name */
