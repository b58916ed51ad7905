/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The keys of [X-FDPass] that select clients. */

#include "config/route-draft.h"

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
