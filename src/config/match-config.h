/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The keys of [X-FDPass] that say which clients a route takes, and those that name addresses elsewhere. */

#include "basic/strlist.h"
#include "config/config-table.h"

/* Ranges of addresses while they are being read. */
typedef struct AddressList {
        AddressRange *items;
        size_t n_items;
} AddressList;

void address_list_clear(AddressList *l);

/* What a route matches, while it is being read: lists that grow. */
typedef struct MatchDraft {
        int priority;
        StringList listeners, hosts, paths, methods, alpns;
        unsigned protocols;
        AddressList sources;
        HeaderMatch *headers;
        size_t n_headers;
        BytesMatch *prefixes;
        size_t n_prefixes;
        char *name;
} MatchDraft;

void match_draft_done(MatchDraft *d);

/* Moves everything to @ret, sorted and without duplicates. */
void match_draft_finish(MatchDraft *d, RouteMatch *ret);

/* Reports a match that the broker has no room for. */
void match_check_size(ConfigContext *c, const RouteMatch *m);

void route_match_done(RouteMatch *m);

/* For tables; the field is what the comment says. All are lists: values append, an empty one resets. */
int config_parse_listeners(ConfigContext *c, const ConfigKey *key, const Assignment *a, void *field,
                           const void *fallback); /* StringList */
int config_parse_hosts(ConfigContext *c, const ConfigKey *key, const Assignment *a, void *field,
                       const void *fallback);     /* StringList */
int config_parse_paths(ConfigContext *c, const ConfigKey *key, const Assignment *a, void *field,
                       const void *fallback);     /* StringList */
int config_parse_methods(ConfigContext *c, const ConfigKey *key, const Assignment *a, void *field,
                         const void *fallback);   /* StringList */
int config_parse_alpns(ConfigContext *c, const ConfigKey *key, const Assignment *a, void *field,
                       const void *fallback);     /* StringList */
int config_parse_protocols(ConfigContext *c, const ConfigKey *key, const Assignment *a, void *field,
                           const void *fallback); /* unsigned, as RouteMatch.protocols */
int config_parse_addresses(ConfigContext *c, const ConfigKey *key, const Assignment *a, void *field,
                           const void *fallback); /* AddressList */
int config_parse_headers(ConfigContext *c, const ConfigKey *key, const Assignment *a, void *field,
                         const void *fallback);   /* MatchDraft.headers */
int config_parse_prefixes(ConfigContext *c, const ConfigKey *key, const Assignment *a, void *field,
                          const void *fallback);  /* MatchDraft.prefixes */
int config_parse_name(ConfigContext *c, const ConfigKey *key, const Assignment *a, void *field,
                      const void *fallback);      /* char *; no list */
