/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "probe/verdict.h"

#include "basic/macro.h"

/* RFC 8446 6: AlertDescription. */
enum {
        ALERT_UNEXPECTED_MESSAGE = 10,
        ALERT_RECORD_OVERFLOW = 22,
        ALERT_ILLEGAL_PARAMETER = 47,
        ALERT_DECODE_ERROR = 50,
        ALERT_PROTOCOL_VERSION = 70,
};

typedef struct ReasonInfo {
        const char *name;
        unsigned http_status;
        int tls_alert; /* 0 (close_notify) stands for none: it is no error alert */
} ReasonInfo;

static const ReasonInfo infos[_PROBE_REASON_MAX] = {
        [PROBE_REASON_NONE] = { "none", 0, 0 },

        [PROBE_REASON_TOO_LARGE] = { "too-large", 431, ALERT_ILLEGAL_PARAMETER },

        [PROBE_REASON_HTTP_METHOD] = { "http-method", 400, 0 },
        [PROBE_REASON_HTTP_TARGET] = { "http-target", 400, 0 },
        [PROBE_REASON_HTTP_VERSION] = { "http-version", 400, 0 },
        [PROBE_REASON_HTTP_NO_VERSION] = { "http-no-version", 400, 0 },
        [PROBE_REASON_HTTP_CONTROL] = { "http-control", 400, 0 },
        [PROBE_REASON_HTTP_BARE_CR] = { "http-bare-cr", 400, 0 },
        [PROBE_REASON_HTTP_BARE_LF] = { "http-bare-lf", 400, 0 },
        [PROBE_REASON_HTTP_FOLD] = { "http-fold", 400, 0 },
        [PROBE_REASON_HTTP_FIELD_NAME] = { "http-field-name", 400, 0 },
        [PROBE_REASON_HTTP_SPACE_BEFORE_COLON] = { "http-space-before-colon", 400, 0 },
        [PROBE_REASON_HTTP_NO_HOST] = { "http-no-host", 400, 0 },
        [PROBE_REASON_HTTP_TWO_HOSTS] = { "http-two-hosts", 400, 0 },
        [PROBE_REASON_HTTP_HOST] = { "http-host", 400, 0 },
        [PROBE_REASON_HTTP_HOST_MISMATCH] = { "http-host-mismatch", 400, 0 },
        [PROBE_REASON_HTTP_LENGTH] = { "http-length", 400, 0 },
        [PROBE_REASON_HTTP_CODING] = { "http-coding", 400, 0 },
        [PROBE_REASON_HTTP_LENGTH_AND_CODING] = { "http-length-and-coding", 400, 0 },
        [PROBE_REASON_HTTP_AMBIGUOUS_PATH] = { "http-ambiguous-path", 400, 0 },

        [PROBE_REASON_TLS_SSLV2] = { "tls-sslv2", 0, ALERT_PROTOCOL_VERSION },
        [PROBE_REASON_TLS_RECORD_TYPE] = { "tls-record-type", 0, ALERT_UNEXPECTED_MESSAGE },
        [PROBE_REASON_TLS_RECORD_LENGTH] = { "tls-record-length", 0, ALERT_RECORD_OVERFLOW },
        [PROBE_REASON_TLS_VERSION] = { "tls-version", 0, ALERT_PROTOCOL_VERSION },
        [PROBE_REASON_TLS_MESSAGE] = { "tls-message", 0, ALERT_UNEXPECTED_MESSAGE },
        [PROBE_REASON_TLS_TRAILING] = { "tls-trailing", 0, ALERT_UNEXPECTED_MESSAGE },
        [PROBE_REASON_TLS_DECODE] = { "tls-decode", 0, ALERT_DECODE_ERROR },
        [PROBE_REASON_TLS_DUPLICATE] = { "tls-duplicate", 0, ALERT_ILLEGAL_PARAMETER },
        [PROBE_REASON_TLS_NAME] = { "tls-name", 0, ALERT_ILLEGAL_PARAMETER },

        [PROBE_REASON_SSH_VERSION] = { "ssh-version", 0, 0 },
        [PROBE_REASON_SSH_LINE] = { "ssh-line", 0, 0 },

        [PROBE_REASON_PROXY_UNEXPECTED] = { "proxy-unexpected", 0, 0 },
        [PROBE_REASON_PROXY_V1] = { "proxy-v1", 0, 0 },
        [PROBE_REASON_PROXY_VERSION] = { "proxy-version", 0, 0 },
        [PROBE_REASON_PROXY_FAMILY] = { "proxy-family", 0, 0 },
        [PROBE_REASON_PROXY_LENGTH] = { "proxy-length", 0, 0 },
        [PROBE_REASON_PROXY_TLV] = { "proxy-tlv", 0, 0 },
        [PROBE_REASON_PROXY_CHECKSUM] = { "proxy-checksum", 0, 0 },
};

const char *probe_reason_to_string(ProbeReason reason) {
        return reason < ELEMENTSOF(infos) ? infos[reason].name : "unknown";
}

unsigned probe_reason_http_status(ProbeReason reason) {
        return reason < ELEMENTSOF(infos) ? infos[reason].http_status : 0;
}

int probe_reason_tls_alert(ProbeReason reason) {
        return reason < ELEMENTSOF(infos) && infos[reason].tls_alert > 0 ? infos[reason].tls_alert : -1;
}
