/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Takes up one client that was handed back. */

#include "broker/core.h"

/*
 * Takes the client @fd that @m is about, which came by the return socket @l. @owner names its sender for the helper. Returns the answer
 * for the sender. @fd is consumed with FDPASS_ANSWER_TAKEN only.
 */
uint8_t returned_take(Broker *b, Listener *l, int fd, const Message *m, uint32_t owner);
