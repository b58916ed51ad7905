/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Handover: sends the clients of a stopping broker to the next process. systemd holds the return socket, and the next
 * process accepts from it.
 */

#include "broker/core.h"

/*
 * True if the client can be handed over: it is CLIENT_HEAD, CLIENT_PARKED or CLIENT_QUEUED, there is a return socket,
 * its PROXY header has come, and it is a TCP client.
 */
bool handover_takes(const Broker *b, const Client *c);

/*
 * Hands over all clients for which handover_takes() is true, and ends them. If that fails, logs it, and leaves the
 * others as they are.
 */
void handover_all(Broker *b);
