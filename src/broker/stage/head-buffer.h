/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * One buffer for the first bytes of the client that is looked at. No client needs a buffer of its own, because peeked
 * bytes stay in its socket.
 */

#include "broker/state/client.h"
#include "probe/probe.h"

typedef struct HeadBuffer {
        uint8_t *bytes;
        size_t size;       /* size of @bytes: at least MaxHeadSize= of each listener, and the longest PROXY header */
        uint64_t probe_id; /* Client.id of the client that @probe is about; 0: none */
        Probe probe;       /* facts about that client; points into @bytes */
        ProbeName name;    /* host that a PROXY header has, for one decision (stage/head.c) */
} HeadBuffer;

/* Enlarges the buffer to at least @n bytes. It never shrinks. Returns 0 or -ENOMEM. */
int head_buffer_reserve(HeadBuffer *hb, size_t n);
void head_buffer_done(HeadBuffer *hb);

/* Returns the buffer for the bytes of another client, and forgets HeadBuffer.probe. */
uint8_t *head_buffer_take(HeadBuffer *hb);

/*
 * Returns the facts about this client's head. If HeadBuffer.probe is about another client, the head is peeked at again.
 * Returns NULL if the head is not complete, or of no known protocol. The facts are valid until the next
 * head_buffer_take().
 */
const Probe *head_buffer_probe(HeadBuffer *hb, const Client *c);
