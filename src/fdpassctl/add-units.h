/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The texts of the units that fdpassctl add writes. */

#include "fdpassctl/add.h"

/* Makes the files of @plan. The caller frees them by add_files_done(). Returns 0 or -ENOMEM. */
int add_units_make(const AddPlan *plan, AddFiles *ret);

/*
 * Returns "Key=value" as a line of a unit, for the caller to free, or NULL without memory. Doubles each "%" of the
 * value, because one begins a specifier.
 */
char *add_units_line(const char *key, const char *value);
