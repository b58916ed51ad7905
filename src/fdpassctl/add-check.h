/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Checks new units by the code of fdpassctl verify. */

#include "config/config.h"
#include "fdpassctl/add-types.h"

/* Checks the keys of the route before anything is written. Returns 0, or a negative errno after a message. */
int add_check_keys(const AddPlan *plan, const AddFiles *files);

/*
 * Checks the written units as if they were enabled, and prints what is wrong with them and what is probably a mistake.
 * Returns the configuration, or NULL after a message: it can't be read, or the new units have an error.
 */
Config *add_check_units(const AddPlan *plan, const AddFiles *files);
