/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The keys of [X-FDPass] that describe the start of the response: Flusher=, ResponseHeader=, ResponseStatus=. */

#include "config/route-draft.h"

/* Limit of all ResponseHeader= lines with their line ends, in bytes; must be below FDPASS_FLUSHER_OUTPUT_MAX. */
#define RESPONSE_FIELDS_MAX 4096

/*
 * Checks the keys against each other and completes the route. A flusher writes HTTP/1, so its route matches no other
 * protocol. Returns 0, also after it reported an error, or -ENOMEM.
 */
int flusher_config_finish(ConfigContext *c, RouteDraft *d);

void flusher_config_done(RouteConfig *route);

/* Parsers for tables. The comment names the field of RouteDraft. */
int config_parse_flusher(ConfigContext *c, const Assignment *a, void *field);         /* route.flusher */
int config_parse_response_header(ConfigContext *c, const Assignment *a, void *field); /* response_headers; a list */
int config_parse_response_status(ConfigContext *c, const Assignment *a, void *field); /* route.response_status */
