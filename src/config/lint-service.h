/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "config/unit.h"

/*
 * Reports the sandbox settings that the service of the worker's unit @socket lacks, in one note a service. Without them
 * an attacker that controls a worker can reach the network through the sockets of its clients. Returns 0 or a negative
 * errno.
 */
int lint_service(const UnitPath *path, Reporter *reporter, const Unit *socket);
