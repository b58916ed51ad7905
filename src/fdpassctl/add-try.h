/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Tells what to try when a worker was added. */

#include "config/config.h"
#include "fdpassctl/add-types.h"

/* Prints a command that reaches the new route, and what else has to be done first. */
void add_try_print(const AddPlan *plan, const Config *config);
