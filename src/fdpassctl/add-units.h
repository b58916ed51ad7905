/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The texts of the units that fdpassctl add writes. */

#include "fdpassctl/add-types.h"

void add_plan_done(AddPlan *plan);
void add_files_done(AddFiles *files);

/* True if a line of @plan->keys has this key. */
bool add_has_key(const AddPlan *plan, const char *key);

/* Returns the name of the unit with the route: NAME.socket or NAME.target. */
const char *add_unit_name(const AddPlan *plan, char ret[static 256]);

/* Makes the files of @plan. The caller frees them by add_files_done(). Returns 0 or -ENOMEM. */
int add_units_make(const AddPlan *plan, AddFiles *ret);

/*
 * Returns "Key=value" as a line of a unit, for the caller to free, or NULL without memory. Doubles each "%" of the
 * value, because one begins a specifier.
 */
char *add_units_line(const char *key, const char *value);
