/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "config/unit.h"

/*
 * Reports, as one note a service, the sandbox settings that the service of the worker's unit @socket lacks. Without them
 * an attacker that controls a worker could use its clients' sockets to reach the network. Returns 0 or a negative errno.
 */
int lint_service(const UnitPath *path, Reporter *reporter, const Unit *socket);
