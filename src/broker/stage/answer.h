/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a refused client is told, in the protocol that it speaks. */

#include "broker/state/refusal.h"
#include "probe/probe.h"

typedef struct Answer {
        size_t n;              /* 0: nothing that it would understand; a plain close says it all */
        uint8_t bytes[1024];
} Answer;

/* Leaves the head of an answer in HTTP. */
void answer_drop_body(Answer *answer);

/*
 * The answer to a client with these first bytes, of which the broker looks at @max at most. False if the client has to say
 * more before it is clear what it understands; then there is none.
 */
bool answer_to_head(Slice head, size_t max, Refusal why, ProbeReason reason, unsigned status, Answer *ret);

/* @status is HTTP's, with REFUSAL_FLUSHER. */
void answer_compose(ProbeProtocol protocol, Refusal why, ProbeReason reason, unsigned status, Answer *ret);
