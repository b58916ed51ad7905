/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What a probe says about the first bytes of a client.
 *
 * A verdict other than NEED_MORE is final: it is the same for every longer beginning of the same stream,
 * and so is the reason that goes with MALFORMED. How the network cut the bytes can't change where a client
 * is sent.
 */

typedef enum ProbeVerdict {
        PROBE_NEED_MORE, /* a beginning of it, as far as it goes */
        PROBE_MATCH,     /* the facts are complete */
        PROBE_NO_MATCH,  /* another protocol */
        PROBE_MALFORMED, /* this protocol, but so that it is refused; there is a reason */
} ProbeVerdict;

/* Why something is MALFORMED. */
typedef enum ProbeReason {
        PROBE_REASON_NONE,

        PROBE_REASON_TOO_LARGE, /* not complete within the caller's limit */

        PROBE_REASON_HTTP_METHOD,             /* CONNECT, TRACE, or not in upper case */
        PROBE_REASON_HTTP_TARGET,             /* in none of the forms of RFC 9112 3.2 */
        PROBE_REASON_HTTP_VERSION,            /* neither HTTP/1.0 nor HTTP/1.1 */
        PROBE_REASON_HTTP_NO_VERSION,         /* HTTP/0.9 */
        PROBE_REASON_HTTP_CONTROL,            /* NUL or another control character */
        PROBE_REASON_HTTP_BARE_CR,            /* CR without LF */
        PROBE_REASON_HTTP_BARE_LF,            /* LF without CR */
        PROBE_REASON_HTTP_FOLD,               /* a line that begins with white space */
        PROBE_REASON_HTTP_FIELD_NAME,         /* empty, no token, or no colon behind it */
        PROBE_REASON_HTTP_SPACE_BEFORE_COLON, /* white space between name and colon */
        PROBE_REASON_HTTP_NO_HOST,            /* none in HTTP/1.1, or beside a target in absolute form */
        PROBE_REASON_HTTP_TWO_HOSTS,          /* more than one Host field */
        PROBE_REASON_HTTP_HOST,               /* no "host[:port]", in Host or in the target */
        PROBE_REASON_HTTP_HOST_MISMATCH,      /* the target names another host than Host */
        PROBE_REASON_HTTP_LENGTH,             /* Content-Length: no number, or more than one */
        PROBE_REASON_HTTP_CODING,             /* Transfer-Encoding: in HTTP/1.0, or more than one */
        PROBE_REASON_HTTP_LENGTH_AND_CODING,  /* both of them */
        PROBE_REASON_HTTP_AMBIGUOUS_PATH,     /* see http_path_is_ambiguous() */

        PROBE_REASON_TLS_SSLV2,         /* a hello of SSL 2.0 */
        PROBE_REASON_TLS_RECORD_TYPE,   /* something else than a handshake between the parts of the hello */
        PROBE_REASON_TLS_RECORD_LENGTH, /* an empty record, or one of more than 2^14 bytes */
        PROBE_REASON_TLS_VERSION,       /* not 3.x */
        PROBE_REASON_TLS_MESSAGE,       /* another handshake message than ClientHello */
        PROBE_REASON_TLS_TRAILING,      /* the record goes on behind the hello */
        PROBE_REASON_TLS_DECODE,        /* a length inside does not fit */
        PROBE_REASON_TLS_DUPLICATE,     /* two extensions of one type */
        PROBE_REASON_TLS_NAME,          /* server_name is not exactly one host name */

        PROBE_REASON_SSH_VERSION, /* neither 2.0 nor 1.99 */
        PROBE_REASON_SSH_LINE,    /* longer than 255 bytes, or not in ASCII */

        PROBE_REASON_PROXY_UNEXPECTED, /* a PROXY header where none may be */
        PROBE_REASON_PROXY_V1,         /* not a line of version 1 */
        PROBE_REASON_PROXY_VERSION,    /* version or command unknown */
        PROBE_REASON_PROXY_FAMILY,     /* address family or transport unknown */
        PROBE_REASON_PROXY_LENGTH,     /* longer than the limit, or too short for its addresses */
        PROBE_REASON_PROXY_TLV,        /* a TLV runs over the end, or a checksum has the wrong size */
        PROBE_REASON_PROXY_CHECKSUM,   /* the CRC32C is wrong */

        _PROBE_REASON_MAX,
} ProbeReason;

/* A short name for logs and tests: "http-bare-lf". Never NULL. */
const char *probe_reason_to_string(ProbeReason reason);

/* The status of the answer that an HTTP client gets: 400 or 431; 0 for reasons that are not HTTP's. */
unsigned probe_reason_http_status(ProbeReason reason);

/*
 * The description of the fatal alert that a TLS client gets (RFC 8446 6.2); -1 for reasons that are not
 * TLS's.
 */
int probe_reason_tls_alert(ProbeReason reason);
