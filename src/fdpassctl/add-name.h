/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The name of a worker that fdpassctl add writes and remove removes. */

#include "fdpassctl/add-types.h"

/* Returns true if a worker may have this name, otherwise false after a message. */
bool add_name_check(const char *name);

/*
 * Checks that no unit in the load path below @root_fd has one of the files' names or the worker's socket, and that the
 * server's own unit exists. Returns 0, or a negative errno after a message.
 */
int add_name_check_units(int root_fd, const AddPlan *plan, const AddFiles *files);
