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
 * The reasons of MALFORMED: X(CONSTANT, name, HTTP status, TLS alert, sentence). The name is for programs: D-Bus, JSON,
 * fields of the journal. The status is 0 for reasons without an HTTP answer, and the alert is 0 for those without a TLS
 * answer. The sentence says to an administrator what is wrong. It has neither a capital letter nor a full stop, because
 * it stands inside of other sentences. fdpass-refusals(7) has a table of all names.
 */
#define PROBE_REASONS(X)                                                                                               \
        X(NONE, "none", 0, 0, "")                                                                                      \
        X(TOO_LARGE, "too-large", 431, ALERT_ILLEGAL_PARAMETER,                                                        \
          "the head is larger than MaxHeadSize= and still not complete")                                               \
                                                                                                                       \
        X(HTTP_METHOD, "http-method", 400, 0, "the method is CONNECT or TRACE, or is not in upper case")               \
        X(HTTP_TARGET, "http-target", 400, 0, "the target of the request has none of the forms of RFC 9112 3.2")       \
        X(HTTP_VERSION, "http-version", 400, 0, "the version of HTTP is not 1 with one digit after the dot")           \
        X(HTTP_NO_VERSION, "http-no-version", 400, 0, "the request line has no version (HTTP/0.9)")                    \
        X(HTTP_CONTROL, "http-control", 400, 0, "the head of the request has a NUL or another control character")      \
        X(HTTP_BARE_CR, "http-bare-cr", 400, 0,                                                                        \
          "the head of the request has a carriage return without a line feed behind it")                               \
        X(HTTP_BARE_LF, "http-bare-lf", 400, 0,                                                                        \
          "the head of the request has a line feed without a carriage return before it")                               \
        X(HTTP_FOLD, "http-fold", 400, 0, "a line of the head begins with white space")                                \
        X(HTTP_FIELD_NAME, "http-field-name", 400, 0,                                                                  \
          "a field's name is empty, is not a token, or has no colon behind it")                                        \
        X(HTTP_SPACE_BEFORE_COLON, "http-space-before-colon", 400, 0,                                                  \
          "there is white space between a field's name and the colon")                                                 \
        X(HTTP_NO_HOST, "http-no-host", 400, 0, "the request has no Host field, which HTTP/1.1 needs")                 \
        X(HTTP_TWO_HOSTS, "http-two-hosts", 400, 0, "the request has more than one Host field")                        \
        X(HTTP_HOST, "http-host", 400, 0,                                                                              \
          "the host in the Host field or in the target is not of the form \"host[:port]\"")                            \
        X(HTTP_HOST_MISMATCH, "http-host-mismatch", 400, 0,                                                            \
          "the target names a host, and the Host field leads to another route")                                        \
        X(HTTP_NOT_TLS_NAME, "http-not-tls-name", 421, 0,                                                              \
          "the request is for another host than the one that the TLS handshake was made for")                          \
        X(HTTP_LENGTH, "http-length", 400, 0, "Content-Length is not a number, or occurs twice")                       \
        X(HTTP_CODING, "http-coding", 400, 0, "Transfer-Encoding occurs in HTTP/1.0, or twice")                        \
        X(HTTP_LENGTH_AND_CODING, "http-length-and-coding", 400, 0,                                                    \
          "the request has both Content-Length and Transfer-Encoding")                                                 \
        X(HTTP_AMBIGUOUS_PATH, "http-ambiguous-path", 400, 0,                                                          \
          "servers read the path in different ways, and these lead to different routes")                               \
                                                                                                                       \
        X(TLS_SSLV2, "tls-sslv2", 0, ALERT_PROTOCOL_VERSION, "the hello is one of SSL 2.0")                            \
        X(TLS_RECORD_TYPE, "tls-record-type", 0, ALERT_UNEXPECTED_MESSAGE,                                             \
          "there is a record of another type inside the TLS hello")                                                    \
        X(TLS_RECORD_LENGTH, "tls-record-length", 0, ALERT_RECORD_OVERFLOW,                                            \
          "a TLS record is empty or has more than 2^14 bytes")                                                         \
        X(TLS_VERSION, "tls-version", 0, ALERT_PROTOCOL_VERSION, "the major version of the TLS record is not 3")       \
        X(TLS_MESSAGE, "tls-message", 0, ALERT_UNEXPECTED_MESSAGE, "the first TLS message is not a ClientHello")       \
        X(TLS_TRAILING, "tls-trailing", 0, ALERT_UNEXPECTED_MESSAGE,                                                   \
          "there are more bytes in the record of the TLS hello")                                                       \
        X(TLS_DECODE, "tls-decode", 0, ALERT_DECODE_ERROR, "a length inside the TLS hello does not fit")               \
        X(TLS_DUPLICATE, "tls-duplicate", 0, ALERT_ILLEGAL_PARAMETER, "the TLS hello has two extensions of one type")  \
        X(TLS_NAME, "tls-name", 0, ALERT_ILLEGAL_PARAMETER, "the TLS hello has two host names")                        \
                                                                                                                       \
        X(SSH_VERSION, "ssh-version", 0, 0, "the version of SSH is neither 2.0 nor 1.99")                              \
        X(SSH_LINE, "ssh-line", 0, 0, "the identification line of SSH has more than 255 bytes, or is not ASCII")       \
                                                                                                                       \
        X(PROXY_UNEXPECTED, "proxy-unexpected", 0, 0,                                                                  \
          "a PROXY header came from an address that TrustedProxies= does not have, or without ProxyProtocol=")         \
        X(PROXY_MISSING, "proxy-missing", 0, 0, "a PROXY header is required here, and the client sent none")           \
        X(PROXY_V1, "proxy-v1", 0, 0, "the PROXY header is not a valid line of version 1")                             \
        X(PROXY_VERSION, "proxy-version", 0, 0, "the version or the command of the PROXY header is unknown")           \
        X(PROXY_FAMILY, "proxy-family", 0, 0, "the address family or the transport of the PROXY header is unknown")    \
        X(PROXY_LENGTH, "proxy-length", 0, 0, "the PROXY header is too long, or too short for its addresses")          \
        X(PROXY_TLV, "proxy-tlv", 0, 0, "a TLV exceeds the PROXY header, or its CRC32C has a wrong size")              \
        X(PROXY_CHECKSUM, "proxy-checksum", 0, 0, "the CRC32C of the PROXY header is wrong")

typedef enum ProbeReason {
#define X(constant, name, http_status, tls_alert, sentence) PROBE_REASON_##constant, /* sentence */
        PROBE_REASONS(X)
#undef X
        _PROBE_REASON_MAX,
} ProbeReason;

/* Returns the name of the reason: "http-bare-lf". Never NULL. */
const char *probe_reason_to_string(ProbeReason reason);

/* Returns the sentence of the reason: "the request has more than one Host field". Never NULL. */
const char *probe_reason_sentence(ProbeReason reason);

/* Returns the HTTP status of the answer: 400, 421 or 431; 0 for reasons without an HTTP answer. */
unsigned probe_reason_http_status(ProbeReason reason);

/* Returns the description of the fatal TLS alert (RFC 8446 6.2); -1 for reasons without a TLS answer. */
int probe_reason_tls_alert(ProbeReason reason);
