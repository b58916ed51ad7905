/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "fdpassctl/bus.h"

/*
 * Shows how a broker is that does not run: its service @name, whose properties are @service, and its socket units.
 * Returns RUNNING_EXIT_NOT.
 */
int stopped_show(sd_bus *manager, const char *name, const Value *service);
