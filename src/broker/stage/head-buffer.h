/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One buffer for the first bytes of whichever client is looked at. Peeked bytes stay in the socket, so no client needs its own. */

#include "broker/state/client.h"
#include "probe/probe.h"

typedef struct HeadBuffer {
        uint8_t *bytes;
        size_t size;       /* at least MaxHeadSize= of each listener, and the longest PROXY header */
        uint64_t probe_id; /* Client.id of the client that @probe is about; 0: none */
        Probe probe;       /* points into @bytes */
} HeadBuffer;

/* Makes room for @n bytes. It never shrinks. Returns 0 or -ENOMEM. */
int head_buffer_reserve(HeadBuffer *hb, size_t n);
void head_buffer_done(HeadBuffer *hb);

/* The buffer for new bytes. @probe is not valid any more. */
uint8_t *head_buffer_take(HeadBuffer *hb);

/*
 * The facts about this client's head, as they were found a moment ago, or found now. Returns NULL if the head is not complete or not
 * of a known protocol. Valid until the next head_buffer_take().
 */
const Probe *head_buffer_probe(HeadBuffer *hb, const Client *c);
