/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The settings of the broker itself, from the unit fdpass.service. */

#include "config/config-table.h"

extern const ConfigKind config_kind_broker;

/* Largest MaxTrackedConnections= */
#define CONNECTIONS_TRACKED_MAX 1048576U

/* Returns the settings of a broker whose unit sets nothing. */
BrokerConfig broker_config_default(void);

/* Reads the settings. A key that is missing or wrong has its default. Returns 0 or a negative errno. */
int broker_config_read(ConfigContext *c, BrokerConfig *ret);
