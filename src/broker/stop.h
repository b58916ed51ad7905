/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The end of the broker, in phases (StopPhase): receipts are awaited, and other clients are handed over or refused. */

#include "broker/core.h"

/* Initialises Broker.stop. Returns 0 or a negative errno. */
int stop_init(Broker *b);
void stop_done(Stop *s);

/* Begins to stop. Does nothing if the broker stops already. */
void stop_begin(Broker *b);

/*
 * Goes on to the next phase if the present one is done. To be called at the end of each turn. Does nothing if the
 * broker does not stop.
 */
void stop_go_on(Broker *b);

/*
 * Sets the timer of ExitIdleTimeSec=. If no client comes until then, the broker stops. systemd starts the next process
 * for the next client.
 */
void stop_watch_idle(Broker *b);
