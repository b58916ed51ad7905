/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/state/refusal.h"

static const struct {
        const char *word;
        const char *sentence;
} refusals[_REFUSAL_MAX] = {
#define REFUSAL_ROW(name, word, sentence) [REFUSAL_##name] = { word, sentence },
        REFUSALS(REFUSAL_ROW)
#undef REFUSAL_ROW
};

const char *refusal_to_string(Refusal why) {
        return refusals[why].word;
}

const char *refusal_sentence(Refusal why) {
        return refusals[why].sentence;
}

const char *refusal_detail_to_string(Refusal why, ProbeReason reason) {
        return reason == PROBE_REASON_NONE ? refusal_to_string(why) : probe_reason_to_string(reason);
}

const char *refusal_detail_sentence(Refusal why, ProbeReason reason) {
        return reason == PROBE_REASON_NONE ? refusal_sentence(why) : probe_reason_sentence(reason);
}

bool refusal_is_limit(Refusal why) {
        return why == REFUSAL_SOURCE_FULL || why == REFUSAL_SOURCE_RATE || why == REFUSAL_SOURCE_BUSY ||
               why == REFUSAL_QUEUE_FULL || why == REFUSAL_EVICTED || why == REFUSAL_BROKER;
}
