/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Flusher=redirect and RedirectTo=, in [X-FDPass]: the broker answers the clients of the route itself. */

#include "config/route-draft.h"

/* True for a route with Flusher=redirect. */
bool redirect_config_is_on(const RouteConfig *route);

/*
 * Checks RedirectTo= and the other keys of such a route, and completes them. Narrows the route to clients that do not
 * come through TLS if the address would lead them back to it. Returns 0, also after it reported an error, or -ENOMEM.
 */
int redirect_config_finish(ConfigContext *c, RouteDraft *d);

/*
 * True if a client that follows the address may get to this route again, as far as host and path tell: the answer would
 * be the same address again. @route has RouteConfig.redirects.
 */
bool redirect_config_leads_back(const RouteConfig *route);

/* Parser for the table. The comment names the field of RouteDraft. */
int config_parse_redirect_to(ConfigContext *c, const Assignment *a, void *field); /* redirect_to */
