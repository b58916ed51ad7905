/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a worker is told of its client, with the forms that have room for it. */

#include "broker/broker.h"
#include "broker/routing.h"

/*
 * Writes the header of the message (handoff/message.h) to @buffer, which has room for @size bytes. What the client
 * has said is looked at again for that: it is all still there, and need not be kept while the client waits. What a
 * worker before has consumed is put into *ret_consumed, for the end of the message; it belongs to the client.
 */
int metadata_encode(Broker *b, const Route *route, Client *c, uint8_t *buffer, size_t size, size_t *ret_n,
                    Slice *ret_consumed);
