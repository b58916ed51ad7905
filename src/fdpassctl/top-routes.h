/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The table of routes in top, from two snapshots. @before is empty (at = 0) at first; all rates are 0 then. */

#include "fdpassctl/bus.h"

/*
 * Returns the events per second of a counter that is @n_now and was @n_before. A counter that is smaller than before
 * has started again from 0.
 */
double top_rate(const Snapshot *before, const Snapshot *now, uint64_t n_now, uint64_t n_before);

/*
 * Prints the first @max_rows routes (0: all) in lines of @columns (0: any width). Routes with a queue come first, then
 * the busiest.
 */
void top_print_routes(const Snapshot *before, const Snapshot *now, size_t columns, size_t max_rows);
