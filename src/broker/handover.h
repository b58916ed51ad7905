/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Handover: clients that a stopping broker leaves to the next process, by its own return socket, which systemd holds. */

#include "broker/core.h"

/* True if the client can be handed over: its head is awaited, it is parked, or it is queued. */
bool handover_takes(const Broker *b, const Client *c);

/* Hands over all of these. */
void handover_all(Broker *b);
