/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The status line that `systemctl status` shows. It is sent when it has changed, at most once a second. */

#include "control/control.h"

typedef struct Status Status;

/* Sends the status of @b from now on. Both are borrowed. Takes Broker.on_turn. Returns 0 or a negative errno. */
int status_new(Broker *b, const LoadReport *report, Status **ret);
Status *status_free(Status *s);
DEFINE_CLEANUP(Status *, status_free);
