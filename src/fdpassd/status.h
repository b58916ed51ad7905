/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What `systemctl status` shows: one sentence, sent at most once a second, and only when it has changed. */

#include "broker/broker.h"

typedef struct Status Status;

int status_new(Broker *b, Status **ret);
Status *status_free(Status *s);
DEFINE_CLEANUP(Status *, status_free);
