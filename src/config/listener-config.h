/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The settings of a listener, from the unit of its public socket: how the broker reads the heads of its clients. */

#include "config/config-table.h"

extern const ConfigKind config_kind_listener;

/* Reads the settings. A key that is missing or wrong has its default. Returns 0 or a negative errno. */
int listener_config_read(ConfigContext *c, ListenerConfig *ret);

/* Returns the settings of a listener whose unit sets nothing. They own no memory. */
ListenerConfig listener_config_default(void);

void listener_config_done(ListenerConfig *listener);
