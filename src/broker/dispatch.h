/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * One turn: events, then what they have left to do. An event notes its consequences only. They are settled at the end of the turn,
 * and nothing is freed before that, because functions of the turn may still use it.
 */

#include "broker/core.h"

/* As broker_turn() and broker_run(). */
int dispatch_turn(Broker *b, usec_t timeout);
int dispatch_run(Broker *b);

/* Frees persistent connections, generations of routes and workers that are used no more. */
void dispatch_reap(Broker *b);
