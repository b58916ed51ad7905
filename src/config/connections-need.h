/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Keys that need the kernel's reports about connections (connections-refuse.h). */

#include "config/config-parse.h"

/* Notes the place of @key, a static string, which the unit sets. Returns 0 or -ENOMEM. */
int connections_need_set(ConnectionsNeed *need, const Unit *unit, const char *key);
