/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "config/unit.h"

/*
 * Notes what the service of the worker's unit @socket lacks of a sandbox that holds a worker that was broken into. One
 * note a service. Returns 0 or a negative errno.
 */
int lint_service(const UnitPath *path, Reporter *reporter, const Unit *socket);
