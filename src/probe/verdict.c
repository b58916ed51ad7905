/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "probe/verdict.h"

#include "basic/macro.h"

/* AlertDescription (RFC 8446 6). 0, close_notify, is not an error and means "none" in the list of reasons. */
enum {
        ALERT_UNEXPECTED_MESSAGE = 10,
        ALERT_RECORD_OVERFLOW = 22,
        ALERT_ILLEGAL_PARAMETER = 47,
        ALERT_DECODE_ERROR = 50,
        ALERT_PROTOCOL_VERSION = 70,
};

static const struct {
        const char *name;
        unsigned http_status;
        int tls_alert;
        const char *sentence;
} reasons[] = {
#define X(constant, name, http_status, tls_alert, sentence) { name, http_status, tls_alert, sentence },
        PROBE_REASONS(X)
#undef X
};

const char *probe_reason_to_string(ProbeReason reason) {
        return reason < ELEMENTSOF(reasons) ? reasons[reason].name : "unknown";
}

const char *probe_reason_sentence(ProbeReason reason) {
        return reason < ELEMENTSOF(reasons) ? reasons[reason].sentence : "";
}

unsigned probe_reason_http_status(ProbeReason reason) {
        return reason < ELEMENTSOF(reasons) ? reasons[reason].http_status : 0;
}

int probe_reason_tls_alert(ProbeReason reason) {
        return reason < ELEMENTSOF(reasons) && reasons[reason].tls_alert > 0 ? reasons[reason].tls_alert : -1;
}
