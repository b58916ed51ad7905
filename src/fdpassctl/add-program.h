/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The program of a worker's service. */

#include "fdpassctl/add-types.h"
#include "fdpassctl/add-rewrite.h"

/*
 * Finds the program below @root_fd and checks that the service will be able to run it. Sets ->program_path. Returns 0,
 * or a negative errno after a message.
 */
int add_program_find(int root_fd, AddPlan *plan);

/* Adds the edits of the service's units: the command line, and the parts of the sandbox that depend on the program. */
void add_program_edit(const AddPlan *plan, AddEdits *edits);

/*
 * Checks that the programs which the files start are there. Returns 0, or a negative errno after a message.
 */
int add_program_check_files(int root_fd, const AddPlan *plan, const AddFiles *files);
