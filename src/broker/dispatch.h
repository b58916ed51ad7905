/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Dispatch: one turn of the broker. First each event is handled, and its consequences are noted only. At the end of the
 * turn the consequences are settled. Objects that are no longer needed are freed last, because functions of the turn
 * may still use them.
 *
 * The order of these steps is in dispatch.c. The function that handles an event is in the file that moves the client
 * on.
 */

#include "broker/core.h"

/* The work of broker_turn() and broker_run(). */
int dispatch_turn(Broker *b, usec_t timeout);
int dispatch_run(Broker *b);

/* Frees persistent connections that have ended, generations of routes without a client, and workers without a route. */
void dispatch_reap(Broker *b);
