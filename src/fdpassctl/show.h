/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What several verbs show alike. */

#include "fdpassctl/bus.h"
#include "fdpassctl/terminal.h"

/* Green where all is well, red where it is not. */
Color state_color(const char *state);

/*
 * What a person should look at, one sentence a line, the gravest first: a text to free, "" where all is well. NULL
 * where memory is out. *ret_n is how many there are.
 */
char *problems_of(const Snapshot *s, size_t *ret_n);
