/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Clients that a stopping broker leaves to the next process: by our own return socket, which systemd holds. */

#include "broker/broker.h"

/* Can this client be handed over? Its head is awaited, it is parked, or it waits for a worker. */
bool handover_takes(const Broker *b, const Client *c);

/* Hands all of these over. */
void handover_all(Broker *b);
