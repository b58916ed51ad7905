/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The command line of fdpassctl add. */

#include "fdpassctl/add-types.h"

/*
 * Parses the command line. Each key of a worker's unit is an option, by the table of keys. The caller frees @ret by
 * add_plan_done(), also after an error. Returns 1, 0 if there is nothing else to do (--help), or -EINVAL after a
 * message.
 */
int add_parse_options(int argc, char *argv[], AddPlan *ret);
