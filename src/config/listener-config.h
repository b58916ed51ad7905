/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How the clients of a public socket are looked at, which that socket's unit says. */

#include "config/config-table.h"

/* Reads the unit's settings. Returns 0 or a negative errno. */
int listener_config_read(Reporter *reporter, const Unit *unit, const char *hostname, ListenerConfig *ret);

/* What holds where nothing else is said. It owns nothing. */
ListenerConfig listener_config_default(void);

void listener_config_done(ListenerConfig *listener);

/* The keys that a public socket's unit may have. */
ConfigKeys listener_config_keys(void);

/* See config_describe(). */
void listener_config_describe(const Unit *unit, const char *hostname, ConfigEmit emit, void *userdata);
