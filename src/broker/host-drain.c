/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/host-drain.h"

#include "basic/utf8.h"
#include "broker/handback.h"

bool host_drain_set(Broker *b, const char *reason) {
        HostDrain *drain = &b->host_drain;
        char text[sizeof(drain->reason)] = "";

        if (reason)
                memcpy(text, reason, utf8_cut(reason, sizeof(text) - 1));
        utf8_mask(text);

        if (drain->is_on == !!reason && streq(drain->reason, text))
                return false;

        drain->is_on = !!reason;
        strcpy(drain->reason, text);
        b->generations.scopes_ask = drain->is_on;
        park_limit(&b->parking, drain->is_on ? HOST_DRAIN_PARK_USEC : USEC_INFINITY);
        handback_tell_drains(b);
        return true;
}
