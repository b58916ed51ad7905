/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The facts about a client that its worker gets (handoff/message.h). Not for the stream form, which has no room for them. */

#include "broker/stage/head-buffer.h"
#include "broker/state/routing.h"

/*
 * Writes the header of the message to @buffer, which has @size bytes. Facts about the head are found by looking at it again,
 * because no copy of it is kept. Puts the bytes that were consumed, which belong to the client, into *ret_consumed: they follow
 * the header. Returns 0, or -EMSGSIZE if @size is too small.
 */
int metadata_encode(HeadBuffer *hb, const Route *route, Client *c, uint8_t *buffer, size_t size, size_t *ret_n,
                    Slice *ret_consumed);
