/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "fdpassctl/fdpassctl.h"

/* main.c: prints the help and returns 0. */
int help(void);
