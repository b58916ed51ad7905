/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The keys of [X-FDPass] that say how the response begins: Flusher=, ResponseHeader=, ResponseStatus=. */

#include "basic/strlist.h"
#include "config/config-table.h"

/* They and their line ends have room for so much in all; a flusher's output has more (FDPASS_FLUSHER_OUTPUT_MAX). */
#define RESPONSE_FIELDS_MAX 4096

/* These keys, while they are being read. */
typedef struct FlusherDraft {
        char *name;               /* NULL: none */
        char *argument;           /* NULL: none */
        const Assignment *line;   /* that says it */
        StringList fields;        /* "Name: value" */
        unsigned status;
        char *reason;             /* NULL: the usual one */
        const Assignment *response_line; /* the last that says something about the response */
} FlusherDraft;

void flusher_draft_done(FlusherDraft *d);

/*
 * Checks what only all keys together show, and moves everything to @route. A flusher speaks HTTP: the route matches
 * nothing else. Returns 0, also after an error was reported, or -ENOMEM.
 */
int flusher_draft_finish(ConfigContext *c, FlusherDraft *d, RouteConfig *route);

void route_flusher_done(RouteConfig *route);

/* For tables; the field is what the comment says. */
int config_parse_flusher(ConfigContext *c, const ConfigKey *key, const Assignment *a, void *field,
                         const void *fallback);         /* FlusherDraft */
int config_parse_response_header(ConfigContext *c, const ConfigKey *key, const Assignment *a, void *field,
                                 const void *fallback); /* FlusherDraft; a list */
int config_parse_response_status(ConfigContext *c, const ConfigKey *key, const Assignment *a, void *field,
                                 const void *fallback); /* FlusherDraft */
