/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Does the broker run? Its control socket does not tell, because systemd holds it, and connecting to it starts the
 * broker. So the service manager is asked.
 */

#include "fdpassctl/bus.h"

/* The exit status of a command that only looks if the broker does not run; that of systemctl status (LSB). */
#define RUNNING_EXIT_NOT 3

/*
 * Returns the broker's service unit, by the path of the control socket: that of the package's units, or of a shard.
 * NULL for another path, whose service is not known. The string is static.
 */
const char *running_service(void);

/* False if the manager says that the broker does not run. @service has the properties of its unit, or none. */
bool running_by_state(const Value *service);

/* Asks the manager. True if it can't be asked. */
bool running_is_running(void);

/*
 * Connects to the broker as bus_open(), but never starts it. Returns 0, or an exit status after a message:
 * RUNNING_EXIT_NOT or EXIT_FAILURE.
 */
int running_open(sd_bus **ret);
