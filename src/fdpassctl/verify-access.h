/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* May the broker connect to the workers' sockets of this system, and does a process listen on them? */

#include "config/config.h"

/* Prints warnings. Needs no rights: what the caller may not see is left out. Returns 0 or -ENOMEM. */
int verify_access(const Config *config);
