/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The terminal while top has it: its alternate screen, keys without a line break, and signals. */

#include "basic/macro.h"
#include "basic/time.h"

/*
 * Switches to the alternate screen. It is restored when the process ends, by a fault as well. Returns 0 or a negative
 * errno.
 */
int top_terminal_take(void);

/* Undoes top_terminal_take(), if it was called. Safe in signal handlers. */
void top_terminal_restore(void);

void top_terminal_clear(void);

/*
 * Waits for @interval (in µs), for a key or for a new size of the terminal; with @is_batch only for the time. Returns
 * false to end: q was pressed, the input has ended, or a signal asked for it.
 */
bool top_terminal_wait(usec_t interval, bool is_batch);
