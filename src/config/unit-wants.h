/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The links that `systemctl enable` makes in the .wants and .requires directories of a unit. */

#include "config/unit-path.h"

/*
 * Appends the units that @target wants or requires by such a link, sorted and each once. Reports an entry that is not
 * a link to a unit as a warning. Returns 0 or a negative errno (errno_is_fatal()).
 */
int unit_wants_list(const UnitPath *p, const char *target, StringList *wanted);
