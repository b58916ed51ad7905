/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The end of the broker, in phases (StopPhase). */

#include "broker/core.h"

/* Returns 0 or a negative errno. */
int stop_init(Broker *b);
void stop_done(Stop *s);

/* Begins to stop. Does nothing if that was done. */
void stop_begin(Broker *b);

/* Goes on while the broker stops: to be called at the end of each turn. */
void stop_go_on(Broker *b);

/* Sets the timer of ExitIdleTimeSec=. systemd starts the next process with the next client. */
void stop_watch_idle(Broker *b);
