/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The verdict of a probe on the first bytes of a client.
 *
 * A verdict other than NEED_MORE is final: it is the same for every longer beginning of the same stream, and so is the
 * reason of MALFORMED. Otherwise the route of a client would depend on how the network split its bytes.
 */

typedef enum ProbeVerdict {
        PROBE_NEED_MORE, /* the bytes fit the protocol, but are incomplete */
        PROBE_MATCH,     /* the bytes are complete, and the facts are valid */
        PROBE_NO_MATCH,  /* the bytes are another protocol */
        PROBE_MALFORMED, /* the bytes are this protocol, but must be refused; there is a reason */
} ProbeVerdict;

/*
 * The reasons of MALFORMED, one line each: X(CONSTANT, name, HTTP status, TLS alert). The name is for logs and tests.
 * The status is 0 for reasons without an HTTP answer, and the alert is 0 for those without a TLS answer.
 */
#define PROBE_REASONS(X)                                                                                               \
        X(NONE, "none", 0, 0)                               /* not MALFORMED */                                        \
                                                                                                                       \
        X(TOO_LARGE, "too-large", 431, ALERT_ILLEGAL_PARAMETER) /* incomplete at the limit of the caller */            \
                                                                                                                       \
        X(HTTP_METHOD, "http-method", 400, 0)               /* CONNECT, TRACE, or not in upper case */                 \
        X(HTTP_TARGET, "http-target", 400, 0)               /* none of the forms in RFC 9112 3.2 */                    \
        X(HTTP_VERSION, "http-version", 400, 0)             /* not HTTP/1 and a digit */                               \
        X(HTTP_NO_VERSION, "http-no-version", 400, 0)       /* HTTP/0.9 */                                             \
        X(HTTP_CONTROL, "http-control", 400, 0)             /* NUL or another control character */                     \
        X(HTTP_BARE_CR, "http-bare-cr", 400, 0)             /* CR without LF */                                        \
        X(HTTP_BARE_LF, "http-bare-lf", 400, 0)             /* LF without CR */                                        \
        X(HTTP_FOLD, "http-fold", 400, 0)                   /* a line that begins with white space */                  \
        X(HTTP_FIELD_NAME, "http-field-name", 400, 0)       /* empty, not a token, or without a colon after it */      \
        X(HTTP_SPACE_BEFORE_COLON, "http-space-before-colon", 400, 0) /* white space after a field name */             \
        X(HTTP_NO_HOST, "http-no-host", 400, 0)             /* missing in HTTP/1.1 */                                  \
        X(HTTP_TWO_HOSTS, "http-two-hosts", 400, 0)         /* more than one Host field */                             \
        X(HTTP_HOST, "http-host", 400, 0)                   /* Host or target is not "host[:port]" */                  \
        X(HTTP_HOST_MISMATCH, "http-host-mismatch", 400, 0) /* Host and target lead to different routes */             \
        X(HTTP_LENGTH, "http-length", 400, 0)               /* Content-Length is not a number, or occurs twice */      \
        X(HTTP_CODING, "http-coding", 400, 0)               /* Transfer-Encoding in HTTP/1.0, or twice */              \
        X(HTTP_LENGTH_AND_CODING, "http-length-and-coding", 400, 0) /* both of these fields */                         \
        X(HTTP_AMBIGUOUS_PATH, "http-ambiguous-path", 400, 0) /* its readings lead to different routes */              \
                                                                                                                       \
        X(TLS_SSLV2, "tls-sslv2", 0, ALERT_PROTOCOL_VERSION) /* a hello of SSL 2.0 */                                  \
        X(TLS_RECORD_TYPE, "tls-record-type", 0, ALERT_UNEXPECTED_MESSAGE) /* other record inside the hello */         \
        X(TLS_RECORD_LENGTH, "tls-record-length", 0, ALERT_RECORD_OVERFLOW) /* 0, or more than 2^14 bytes */           \
        X(TLS_VERSION, "tls-version", 0, ALERT_PROTOCOL_VERSION) /* major version is not 3 */                          \
        X(TLS_MESSAGE, "tls-message", 0, ALERT_UNEXPECTED_MESSAGE) /* a message other than ClientHello */              \
        X(TLS_TRAILING, "tls-trailing", 0, ALERT_UNEXPECTED_MESSAGE) /* more bytes in the record of the hello */       \
        X(TLS_DECODE, "tls-decode", 0, ALERT_DECODE_ERROR)  /* a length inside the hello does not fit */               \
        X(TLS_DUPLICATE, "tls-duplicate", 0, ALERT_ILLEGAL_PARAMETER) /* two extensions of one type */                 \
        X(TLS_NAME, "tls-name", 0, ALERT_ILLEGAL_PARAMETER) /* server_name has two names of type host_name */          \
                                                                                                                       \
        X(SSH_VERSION, "ssh-version", 0, 0)                 /* neither 2.0 nor 1.99 */                                 \
        X(SSH_LINE, "ssh-line", 0, 0)                       /* longer than 255 bytes, or not ASCII */                  \
                                                                                                                       \
        X(PROXY_UNEXPECTED, "proxy-unexpected", 0, 0)       /* a PROXY header where none is allowed */                 \
        X(PROXY_V1, "proxy-v1", 0, 0)                       /* not a line of version 1 */                              \
        X(PROXY_VERSION, "proxy-version", 0, 0)             /* unknown version or command */                           \
        X(PROXY_FAMILY, "proxy-family", 0, 0)               /* unknown address family or transport */                  \
        X(PROXY_LENGTH, "proxy-length", 0, 0)               /* above the limit, or too short for its addresses */      \
        X(PROXY_TLV, "proxy-tlv", 0, 0)                     /* a TLV exceeds the header, or a CRC32C of wrong size */  \
        X(PROXY_CHECKSUM, "proxy-checksum", 0, 0)           /* the CRC32C is wrong */

typedef enum ProbeReason {
#define X(constant, name, http_status, tls_alert) PROBE_REASON_##constant,
        PROBE_REASONS(X)
#undef X
        _PROBE_REASON_MAX,
} ProbeReason;

/* Returns the name of the reason: "http-bare-lf". Never NULL. */
const char *probe_reason_to_string(ProbeReason reason);

/* Returns the HTTP status of the answer: 400 or 431; 0 for reasons without an HTTP answer. */
unsigned probe_reason_http_status(ProbeReason reason);

/* Returns the description of the fatal TLS alert (RFC 8446 6.2); -1 for reasons without a TLS answer. */
int probe_reason_tls_alert(ProbeReason reason);
