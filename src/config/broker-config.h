/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The settings of the broker itself, which its own unit has. */

#include "config/config-table.h"

/* What holds where nothing is said. */
BrokerConfig broker_config_default(void);

/* The keys that the broker's unit may have. */
ConfigKeys broker_config_keys(void);

/* What was not set, or wrong, has its default. */
int broker_config_read(Reporter *reporter, const Unit *unit, const char *hostname, BrokerConfig *ret);

/* See config_describe(). */
void broker_config_describe(const Unit *unit, const char *hostname, ConfigEmit emit, void *userdata);
