/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/state/refusal.h"

const char *refusal_to_string(Refusal why) {
        static const char *const names[_REFUSAL_MAX] = {
#define REFUSAL_NAME(name, text, meaning) [REFUSAL_##name] = text,
                REFUSALS(REFUSAL_NAME)
#undef REFUSAL_NAME
        };

        return names[why];
}
