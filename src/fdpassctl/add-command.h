/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The command line of ExecStart= (systemd.service(5), COMMAND LINES). */

#include <stdio.h>

#include "basic/macro.h"

/*
 * Writes @argument as one word of a command line: systemd passes it to the program unchanged. @is_first: it is the path
 * of the program, in which systemd replaces no variables.
 */
void add_command_write(FILE *f, const char *argument, bool is_first);

/* Makes a command line of these words, for the caller to free. Returns NULL without memory. */
char *add_command_make(char *const *arguments);
