/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Prints the help for fdpassctl as a whole. Returns 0. */
int help_general(void);
