/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "fdpassctl/bus.h"

/*
 * Returns what an administrator should look at, the gravest first: one escaped sentence a line, for the caller to free;
 * "" if there is nothing. NULL without memory. *ret_n is the number of lines.
 */
char *problems_find(const Snapshot *s, size_t *ret_n);
