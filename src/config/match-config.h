/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The keys of [X-FDPass] that select clients. */

#include "config/route-draft.h"

/* Moves the lists of @d to its route, sorted and without duplicates, and checks the size of the match. */
void match_config_finish(ConfigContext *c, RouteDraft *d);

void match_config_done(RouteMatch *m);

/* Checks of the words of a list, for config_parse_strings(). */
int config_take_listener(const char *word, void *field);
int config_take_host(const char *word, void *field);
int config_take_path(const char *word, void *field);
int config_take_method(const char *word, void *field);
int config_take_alpn(const char *word, void *field);

/* Parsers for tables. The comment names the field. All but InternalName= are lists. */
int config_parse_protocols(ConfigContext *c, const Assignment *a, void *field); /* RouteMatch.protocols */
int config_parse_sources(ConfigContext *c, const Assignment *a, void *field);   /* RouteMatch.sources */
int config_parse_headers(ConfigContext *c, const Assignment *a, void *field);   /* RouteMatch.headers */
int config_parse_prefixes(ConfigContext *c, const Assignment *a, void *field);  /* RouteMatch.prefixes */
int config_parse_name(ConfigContext *c, const Assignment *a, void *field);      /* RouteMatch.name */
