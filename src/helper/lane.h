/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The threads of the helper that do its work: lanes, and threads for tasks. */

#include "helper/shared.h"

/* Ends the wait of close(2) for SO_LINGER. Its handler does nothing, so the call returns (signal(7)). */
#define LANE_SIGNAL SIGUSR1

/* Starts all of them. Called by the first thread of the helper. Returns 0 or a negative errno. */
int lanes_start(Shared *s);
