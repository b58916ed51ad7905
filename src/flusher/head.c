/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a request offers to a flusher: its fields, and the head of a response. No I/O, no state. */

#include <stdio.h>

#include "flusher/flusher.h"
#include "probe/http.h"

static Slice slice_of(struct fdpass_flusher_text text) {
        return (Slice){ (const uint8_t *) text.bytes, text.len };
}

int flusher_header(const struct fdpass_flusher_request *request, const char *name, size_t index,
                   struct fdpass_flusher_text *ret_value) {
        Slice fields = slice_of(request->fields), wanted = slice_from_string(name), n, value;

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
        EXPECTS_MORE,
} Expectation;

/*
 * RFC 9110 10.1.1. In HTTP/1.0 the field means nothing. A request without content has nothing to continue with. That
 * the body may have begun to arrive does not matter: one MAY leave 100 out then, and need not.
 */
static Expectation expectation_of(const struct fdpass_flusher_request *request) {
        struct fdpass_flusher_text value;
        Expectation e = EXPECTS_NOTHING;
        bool has_content;

        if (request->minor == 0)
                return EXPECTS_NOTHING;

        for (size_t i = 0; flusher_header(request, "Expect", i, &value); i++) {
                if (!slice_equal_fold(slice_of(value), SLICE_LITERAL("100-continue")))
                        return EXPECTS_MORE;
                e = EXPECTS_CONTINUE;
        }

        if (e == EXPECTS_NOTHING)
                return e;

        has_content = flusher_header(request, "Transfer-Encoding", 0, &value) ||
                (flusher_header(request, "Content-Length", 0, &value) && !slice_equal(slice_of(value), SLICE_LITERAL("0")));
        return has_content ? EXPECTS_CONTINUE : EXPECTS_NOTHING;
}

typedef struct Writer {
        char *p;
        size_t n, size;
        bool is_full;
} Writer;

static void write_bytes(Writer *w, const char *s, size_t n) {
        if (n > w->size - w->n) {
                w->is_full = true;
                return;
        }

        memcpy(w->p + w->n, s, n);
        w->n += n;
}

static void write_string(Writer *w, const char *s) {
        write_bytes(w, s, strlen(s));
}

int flusher_head(const struct fdpass_flusher_request *request, struct fdpass_flusher_output *output, const char *fields) {
        Writer w = { .p = output->bytes, .n = output->len, .size = output->capacity };
        Expectation expectation = expectation_of(request);
        char status[8];

        /* RFC 9110 10.1.1 lets a server say so; the worker never sees the field, and could not meet it. */
        if (expectation == EXPECTS_MORE) {
                output->status = 417;
                return FDPASS_FLUSHER_REFUSE;
        }

        /*
         * A client that waits for 100 may never send its content after a final status, and the worker would wait for
         * it. A status that is no success says that the content is not wanted, and is the answer by itself.
         */
        if (expectation == EXPECTS_CONTINUE && request->status < 300)
                write_string(&w, "HTTP/1.1 100 Continue\r\n\r\n");

        /*
         * RFC 9110 6.2: our own version, also to a client of HTTP/1.0. The end of the connection ends the body, which
         * both versions know (RFC 9112 6.3), so there is no Content-Length and no Transfer-Encoding.
         */
        write_string(&w, "HTTP/1.1 ");
        (void) snprintf(status, sizeof(status), "%03u ", request->status);
        write_string(&w, status);
        write_string(&w, request->reason);
        write_string(&w, "\r\nDate: ");
        write_string(&w, request->date);
        write_string(&w, "\r\n");
        write_string(&w, request->response_fields);
        if (fields)
                write_string(&w, fields);
        write_string(&w, "Connection: close\r\n\r\n");

        if (w.is_full)
                return -1;

        output->len = w.n;
        output->status = request->status;

        /* RFC 9110 9.3.2: no content, and the worker could not know. */
        return slice_equal(slice_of(request->method), SLICE_LITERAL("HEAD")) ? FDPASS_FLUSHER_DONE : FDPASS_FLUSHER_GO;
}
