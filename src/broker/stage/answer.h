/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Composes the answer to a refused client, in the protocol of the client. */

#include "broker/state/refusal.h"
#include "probe/probe.h"

typedef struct Answer {
        size_t n;              /* 0: its protocol has no answer, so its connection is only closed */
        uint8_t bytes[1024];
} Answer;

/* Removes the body of an answer in HTTP. */
void answer_drop_body(Answer *answer);

/*
 * Composes the answer to a client whose first bytes are @head. @max: largest size of a head that the broker accepts.
 * @reason is the detail of REFUSAL_MALFORMED, and @status the HTTP status with REFUSAL_FLUSHER. Returns false, and no
 * answer, if more bytes are needed to know the client's protocol.
 */
bool answer_to_head(Slice head, size_t max, Refusal why, ProbeReason reason, unsigned status, Answer *ret);

/* Composes the answer in a known protocol. The parameters are those of answer_to_head(). */
void answer_compose(ProbeProtocol protocol, Refusal why, ProbeReason reason, unsigned status, Answer *ret);
