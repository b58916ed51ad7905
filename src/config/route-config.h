/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The route that a worker's unit declares. */

#include "config/config-table.h"

/* route_config_read() */
enum {
        ROUTE_NONE = 1, /* it declares none, or one that can't be used; that was reported */
};

/* Returns 0, ROUTE_NONE or a negative errno. */
int route_config_read(Reporter *reporter, const Unit *unit, const char *hostname, RouteConfig *ret);

void route_config_done(RouteConfig *route);

/* The keys that a worker's unit may have. */
ConfigKeys route_config_keys(void);

/* See config_describe(). */
void route_config_describe(const Unit *unit, const char *hostname, ConfigEmit emit, void *userdata);
