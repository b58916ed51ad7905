/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The threads of the helper: lanes, which close descriptors, and threads for tasks. */

#include "helper/shared.h"

/* The signal that ends a wait of close(2) for SO_LINGER. The helper handles it by doing nothing. */
#define LANE_SIGNAL SIGUSR1

/* Starts all of them. Returns 0 or a negative errno. */
int lanes_start(Shared *s);
