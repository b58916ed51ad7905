/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "config/config.h"
#include "config/unit.h"

/*
 * Loads the service of a worker's socket, which the caller frees. *ret is NULL if it is not clear which one that is. Returns
 * 0 or a negative errno.
 */
int worker_service_load(const UnitPath *path, const RouteConfig *route, Unit **ret);

/* True if the value of a line of the list @key that is in effect has both texts. */
bool worker_service_has(const Unit *service, const char *key, const char *first, const char *second);
