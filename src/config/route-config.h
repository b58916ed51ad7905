/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The route that a worker's unit declares. */

#include "config/config-table.h"

extern const ConfigKind config_kind_route;

/* Conditions of route_config_read() */
enum {
        ROUTE_NONE = 1, /* the unit declares no usable route; the reason was reported */
};

/* Reads the route. The caller frees it by route_config_done(). Returns 0, ROUTE_NONE or a negative errno. */
int route_config_read(ConfigContext *c, RouteConfig *ret);

void route_config_done(RouteConfig *route);
