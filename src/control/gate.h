/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What of a peer's bytes goes on to sd-bus.
 *
 * sd-bus takes messages of up to 128 MiB and reads as many as there are: good on a bus among friends. Here strangers
 * speak. So their bytes are cut into messages first (D-Bus specification, "Authentication Protocol" and "Message
 * Format"), and each goes on only when it is whole, and not large.
 */

#include "basic/macro.h"

#define GATE_MESSAGE_MAX 32768 /* bytes of one message */
#define GATE_AUTH_MAX 2048     /* of the whole handshake before the first */

typedef struct Gate {
        size_t n_auth;      /* bytes of the handshake so far */
        bool authenticated; /* BEGIN was said */
} Gate;

/*
 * How many of the @n bytes at @p may go on together: lines of the handshake, or exactly one message. 0: more are
 * needed first. -EBADMSG: this will never be one that may.
 */
int gate_next(Gate *g, const uint8_t *p, size_t n, size_t *ret);
