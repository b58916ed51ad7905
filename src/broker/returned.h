/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Takes up a client that was handed back. The helper looks at its socket first, unless its worker has told the head of
 * the next request (NEXT, handoff/protocol.h). Then it is parked, or its next request begins (arrival.h).
 */

#include "broker/core.h"

/*
 * Takes the client @fd, whose facts are in @m, from the return socket @l. @owner is the number of its sender for the
 * helper. @cookie is Client.cookie. Returns the answer for the sender (FDPASS_ANSWER_…). @fd is consumed with FDPASS_ANSWER_TAKEN only.
 */
uint8_t returned_take(Broker *b, Listener *l, int fd, uint64_t cookie, const Message *m, uint32_t owner);
