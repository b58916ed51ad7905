/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The functions of a request: finding a field, and writing the head of a response. No I/O, no state. */

#include <stdio.h>

#include "flusher/flusher.h"
#include "probe/http.h"

static Slice flusher_head_slice(struct fdpass_flusher_text text) {
        return (Slice){ (const uint8_t *) text.bytes, text.len };
}

int flusher_header(const struct fdpass_flusher_request *request, const char *name, size_t index,
                   struct fdpass_flusher_text *ret_value) {
        Slice fields = flusher_head_slice(request->fields), wanted = slice_from_string(name), n, value;

        while (fields.n > 0 && http_next_field(&fields, &n, &value))
                if (slice_equal_fold(n, wanted) && index-- == 0) {
                        *ret_value = (struct fdpass_flusher_text){ (const char *) value.p, value.n };
                        return 1;
                }

        return 0;
}

typedef enum Expectation {
        EXPECTS_NOTHING,
        EXPECTS_CONTINUE,
        EXPECTS_MORE, /* something other than 100-continue */
} Expectation;

/*
 * Parses Expect (RFC 9110 10.1.1). It has no meaning in HTTP/1.0 and in a request without content. A server may omit
 * 100 (Continue) if the body has begun to arrive, but need not, so that case is not examined.
 */
static Expectation flusher_head_expectation(const struct fdpass_flusher_request *request) {
        struct fdpass_flusher_text value;
        Expectation e = EXPECTS_NOTHING;
        bool has_content;

        if (request->minor == 0)
                return EXPECTS_NOTHING;

        for (size_t i = 0; flusher_header(request, "Expect", i, &value); i++) {
                if (!slice_equal_fold(flusher_head_slice(value), SLICE_LITERAL("100-continue")))
                        return EXPECTS_MORE;
                e = EXPECTS_CONTINUE;
        }

        if (e == EXPECTS_NOTHING)
                return e;

        has_content = flusher_header(request, "Transfer-Encoding", 0, &value) ||
                (flusher_header(request, "Content-Length", 0, &value) &&
                 !slice_equal(flusher_head_slice(value), SLICE_LITERAL("0")));
        return has_content ? EXPECTS_CONTINUE : EXPECTS_NOTHING;
}

/* The output of a flusher. */
typedef struct HeadWriter {
        char *p;
        size_t n;     /* bytes written */
        size_t size;  /* of @p, in bytes */
        bool is_full; /* something did not fit */
} HeadWriter;

static void flusher_head_write_bytes(HeadWriter *w, const char *s, size_t n) {
        if (n > w->size - w->n) {
                w->is_full = true;
                return;
        }

        memcpy(w->p + w->n, s, n);
        w->n += n;
}

static void flusher_head_write(HeadWriter *w, const char *s) {
        flusher_head_write_bytes(w, s, strlen(s));
}

static void flusher_head_write_lines(HeadWriter *w, const struct fdpass_flusher_request *request, bool expects_continue,
                                     const char *fields) {
        char status[8];

        /*
         * Write 100 first, because a client that waits for it may send no content after a final status, and the worker
         * would wait for the content. After a status of 300 or more the client need not send it.
         */
        if (expects_continue && request->status < 300)
                flusher_head_write(w, "HTTP/1.1 100 Continue\r\n\r\n");

        /*
         * A response has the version of the server, also for a client of HTTP/1.0 (RFC 9110 6.2). The end of the
         * connection ends the body in both versions (RFC 9112 6.3), so there is no Content-Length.
         */
        flusher_head_write(w, "HTTP/1.1 ");
        (void) snprintf(status, sizeof(status), "%03u ", request->status);
        flusher_head_write(w, status);
        flusher_head_write(w, request->reason);
        flusher_head_write(w, "\r\nDate: ");
        flusher_head_write(w, request->date);
        flusher_head_write(w, "\r\n");
        flusher_head_write(w, request->response_fields);
        if (fields)
                flusher_head_write(w, fields);
        flusher_head_write(w, "Connection: close\r\n\r\n");
}

int flusher_head(const struct fdpass_flusher_request *request, struct fdpass_flusher_output *output,
                 const char *fields) {
        HeadWriter w = { .p = output->bytes, .n = output->len, .size = output->capacity };
        Expectation expectation = flusher_head_expectation(request);

        /* RFC 9110 10.1.1 allows 417. The worker does not see the field, so it can't meet the expectation. */
        if (expectation == EXPECTS_MORE) {
                output->status = 417;
                return FDPASS_FLUSHER_REFUSE;
        }

        flusher_head_write_lines(&w, request, expectation == EXPECTS_CONTINUE, fields);
        if (w.is_full)
                return -1;

        output->len = w.n;
        output->status = request->status;

        /* No content (RFC 9110 9.3.2). The worker does not see the method, so it would write some. */
        return slice_equal(flusher_head_slice(request->method), SLICE_LITERAL("HEAD")) ? FDPASS_FLUSHER_DONE
                                                                                       : FDPASS_FLUSHER_GO;
}
