/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Runs systemctl(1), which prints its own errors. */

#include "basic/macro.h"

/*
 * Runs systemctl with these arguments, NULL at the end, and waits for it. With --root= it works on the files there.
 * @is_quiet: its output is thrown away. Returns its exit status, or a negative errno after a message.
 */
int systemctl_run(int is_quiet, ...) __attribute__((sentinel));

/* True if the unit is enabled, or runs. */
bool systemctl_is_enabled(const char *unit);
bool systemctl_is_active(const char *unit);
