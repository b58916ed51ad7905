/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Keys that need the kernel's reports about connections are errors without fdpass-connections.socket, because a limit
 * that is not kept is worse than a route that is not there.
 */

#include "config/config-types.h"

/* True if fdpass-connections.socket is enabled, so that a restarted broker has the reports. */
bool config_enables_connections(const Config *config);

/*
 * Reports each key that needs the socket as an error, takes its route out of @config, and unsets
 * MaxConnectionsPerSource= and LogConnections=.
 * Config.n_errors counts them. To be called if there is no such socket.
 */
void config_refuse_connections(Config *config, ConfigReport report, void *userdata);
