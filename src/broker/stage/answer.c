/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/stage/answer.h"

#include <arpa/inet.h>
#include <stdio.h>

/* Texts for the body of an answer in HTTP. */
static const struct {
        unsigned status;
        const char *text;
} texts[] = {
        { 400, "This is not a request that can be passed on." },
        { 404, "No service here takes this request." },
        { 408, "The request did not arrive in time." },
        { 421, "There is no such host here." },
        { 429, "Too many requests came from there." },
        { 431, "The head of the request is too large." },
        { 503, "The service can't be reached at the moment." },
        { 504, "The service did not answer in time." },
};

static const char *answer_text_of(unsigned status) {
        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                if (texts[i].status == status)
                        return texts[i].text;

        return "The request was refused.";
}

/* Retry-After of an answer with status 503 or 429, in seconds (RFC 9110 10.2.3). */
#define RETRY_AFTER 5

static unsigned answer_http_status(Refusal why, ProbeReason reason, unsigned flusher_status) {
        switch (why) {

        case REFUSAL_NO_ROUTE:
        case REFUSAL_UNTRUSTED:
                return 404;

        case REFUSAL_NO_HOST:
                return 421;

        case REFUSAL_HEAD_TIMEOUT:
        case REFUSAL_EVICTED:
                return 408;

        case REFUSAL_TIMEOUT:
                return 504;

        case REFUSAL_FLUSHER:
                return flusher_status;

        case REFUSAL_MALFORMED: {
                unsigned status = probe_reason_http_status(reason);

                if (status != 0)
                        return status;
                return reason == PROBE_REASON_TOO_LARGE ? 431 : 400;
        }

        default:
                return 503;
        }
}

static void answer_compose_http(unsigned status, Answer *ret) {
        const char *text = answer_text_of(status);
        char retry[32] = "";
        int n;

        if (status == 503 || status == 429)
                (void) snprintf(retry, sizeof(retry), "Retry-After: %u\r\n", RETRY_AFTER);

        n = snprintf((char *) ret->bytes, sizeof(ret->bytes),
                     "HTTP/1.1 %u %s\r\n"
                     "Content-Type: text/plain\r\n"
                     "Content-Length: %zu\r\n"
                     "%s"
                     "Connection: close\r\n"
                     "\r\n"
                     "%s\n",
                     status, http_status_phrase(status), strlen(text) + 1, retry, text);
        ret->n = n > 0 ? (size_t) n : 0;
}

/* Alert descriptions of TLS (RFC 8446 6.2). */
enum {
        TLS_ALERT_INTERNAL_ERROR = 80,
        TLS_ALERT_UNRECOGNIZED_NAME = 112,
};

static int answer_tls_alert(Refusal why, ProbeReason reason) {
        switch (why) {

        case REFUSAL_NO_ROUTE:
        case REFUSAL_NO_HOST:
        case REFUSAL_UNTRUSTED:
                return TLS_ALERT_UNRECOGNIZED_NAME;

        case REFUSAL_MALFORMED:
                return probe_reason_tls_alert(reason);

        case REFUSAL_HEAD_TIMEOUT:
                return -1;

        default:
                return TLS_ALERT_INTERNAL_ERROR;
        }
}

static void answer_compose_tls(Refusal why, ProbeReason reason, Answer *ret) {
        int alert = answer_tls_alert(why, reason);

        if (alert < 0)
                return;

        /*
         * One record of type alert, with a fatal alert in it. Its version is 3.3, which every client reads before it
         * has agreed on one (RFC 8446 5.1).
         */
        const uint8_t record[] = { 21, 3, 3, 0, 2, /* level: fatal */ 2, (uint8_t) alert };

        memcpy(ret->bytes, record, sizeof(record));
        ret->n = sizeof(record);
}

/* Error codes of HTTP/2 (RFC 9113 7). */
enum {
        HTTP2_PROTOCOL_ERROR = 0x1,
        HTTP2_INTERNAL_ERROR = 0x2,
        HTTP2_ENHANCE_YOUR_CALM = 0xb,
        HTTP2_HTTP_1_1_REQUIRED = 0xd,
};

static uint32_t answer_http2_code(Refusal why) {
        switch (why) {

        case REFUSAL_NO_ROUTE:
        case REFUSAL_NO_HOST:
        case REFUSAL_NO_HTTP2:
                return HTTP2_HTTP_1_1_REQUIRED;

        case REFUSAL_MALFORMED:
                return HTTP2_PROTOCOL_ERROR;

        case REFUSAL_QUEUE_FULL:
        case REFUSAL_SOURCE_FULL:
        case REFUSAL_SOURCE_RATE:
        case REFUSAL_SOURCE_BUSY:
                return HTTP2_ENHANCE_YOUR_CALM;

        default:
                return HTTP2_INTERNAL_ERROR;
        }
}

/* Reason codes of SSH_MSG_DISCONNECT (RFC 4250 4.2.2). */
enum {
        SSH_DISCONNECT_PROTOCOL_ERROR = 2,
        SSH_DISCONNECT_SERVICE_NOT_AVAILABLE = 7,
        SSH_DISCONNECT_TOO_MANY_CONNECTIONS = 12,
};

static uint32_t answer_ssh_code(Refusal why) {
        switch (why) {

        case REFUSAL_MALFORMED:
        case REFUSAL_HEAD_TIMEOUT:
                return SSH_DISCONNECT_PROTOCOL_ERROR;

        case REFUSAL_QUEUE_FULL:
        case REFUSAL_SOURCE_FULL:
        case REFUSAL_SOURCE_RATE:
        case REFUSAL_SOURCE_BUSY:
                return SSH_DISCONNECT_TOO_MANY_CONNECTIONS;

        default:
                return SSH_DISCONNECT_SERVICE_NOT_AVAILABLE;
        }
}

static void answer_append(Answer *a, const void *p, size_t n) {
        memcpy(a->bytes + a->n, p, n);
        a->n += n;
}

static void answer_append_u32(Answer *a, uint32_t v) {
        v = htonl(v);
        answer_append(a, &v, sizeof(v));
}

/* The largest number of a stream (RFC 9113 5.1.1). */
#define HTTP2_STREAM_MAX 0x7fffffff

/*
 * Writes an empty SETTINGS frame, which has to be the first one of a server (RFC 9113 3.4), and a GOAWAY frame (6.8).
 * Clients send requests on streams above its last stream again, and curl 8.14 does so five times at once. That helps if
 * another broker comes, and else it is a load.
 */
static void answer_compose_http2(Refusal why, Answer *ret) {
        static const char text[] = "No service takes HTTP/2 here.";
        static const uint8_t settings[] = { 0, 0, 0, /* type: */ 4, 0, 0, 0, 0, 0 };
        const uint8_t goaway[] = { 0, 0, 4 + 4 + sizeof(text) - 1, /* type: */ 7, 0, 0, 0, 0, 0 };

        answer_append(ret, settings, sizeof(settings));
        answer_append(ret, goaway, sizeof(goaway));
        answer_append_u32(ret, why == REFUSAL_STOPPING ? 0 : HTTP2_STREAM_MAX); /* last stream */
        answer_append_u32(ret, answer_http2_code(why));
        answer_append(ret, text, strlen(text));
}

/*
 * Writes our identification line and one binary packet (RFC 4253 6). The packet has the form from before the key
 * exchange: its length, the length of the padding, SSH_MSG_DISCONNECT (RFC 4253 11.1), and padding to a multiple of
 * eight.
 */
static void answer_compose_ssh(Refusal why, Answer *ret) {
        static const char line[] = "SSH-2.0-fdpass\r\n", text[] = "No service takes this connection.";
        static const uint8_t zeros[16];
        uint32_t n_payload = 1 + 4 + 4 + (uint32_t) strlen(text) + 4;
        uint8_t n_padding = (uint8_t) (8 - (4 + 1 + n_payload) % 8);
        const uint8_t message = 1; /* SSH_MSG_DISCONNECT */

        if (n_padding < 4)
                n_padding = (uint8_t) (n_padding + 8);

        answer_append(ret, line, strlen(line));
        answer_append_u32(ret, 1 + n_payload + n_padding);
        answer_append(ret, &n_padding, 1);
        answer_append(ret, &message, 1);
        answer_append_u32(ret, answer_ssh_code(why));
        answer_append_u32(ret, (uint32_t) strlen(text));
        answer_append(ret, text, strlen(text));
        answer_append_u32(ret, 0); /* language tag, empty */
        answer_append(ret, zeros, n_padding);
}

void answer_compose(ProbeProtocol protocol, Refusal why, ProbeReason reason, unsigned status, Answer *ret) {
        ret->n = 0;

        switch (protocol) {

        case PROBE_HTTP:
                answer_compose_http(answer_http_status(why, reason, status), ret);
                break;

        case PROBE_TLS:
                answer_compose_tls(why, reason, ret);
                break;

        case PROBE_SSH:
                answer_compose_ssh(why, ret);
                break;

        case PROBE_HTTP2:
                answer_compose_http2(why, ret);
                break;

        case PROBE_PROXY:
        case PROBE_UNKNOWN:
                break;
        }
}

bool answer_to_head(Slice head, size_t max, Refusal why, ProbeReason reason, unsigned status, Answer *ret) {
        ProbeVerdict verdict = PROBE_NEED_MORE;
        Probe probe = {};

        if (head.n > 0)
                verdict = probe_client(head.p, head.n, max, &probe);

        answer_compose(probe.protocol, why, reason, status, ret);

        /* An answer to HEAD has no body (RFC 9110 9.3.2). */
        if (verdict == PROBE_MATCH && probe.protocol == PROBE_HTTP && slice_equal(probe.http.method, SLICE_LITERAL("HEAD")))
                answer_drop_body(ret);
        return ret->n > 0 || verdict != PROBE_NEED_MORE;
}

void answer_drop_body(Answer *answer) {
        const uint8_t *end = memmem(answer->bytes, answer->n, "\r\n\r\n", 4);

        if (end)
                answer->n = (size_t) (end - answer->bytes) + 4;
}
