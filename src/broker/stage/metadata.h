/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Encodes the facts about a client for its worker (handoff/message.h). The stream form has no room for them. */

#include "broker/stage/head-buffer.h"
#include "broker/state/routing.h"
#include "broker/state/seal.h"

/* True if the scope that the worker of this pool gets covers the head in Client.copy. */
bool metadata_covers_head(HeadBuffer *hb, const Pool *pool, const Client *c);

/*
 * Writes the header of the message into @buffer of @size bytes, and its length into *ret_n. The head is peeked at again
 * if needed, because no copy of it is kept. *ret_consumed are the consumed bytes, which have to follow the header. They
 * are borrowed from the client. @key makes its seal. Returns 0, or -EMSGSIZE if @size is too small.
 */
int metadata_encode(HeadBuffer *hb, const SealKey *key, const Route *route, Client *c, uint8_t *buffer, size_t size,
                    size_t *ret_n, Slice *ret_consumed);
