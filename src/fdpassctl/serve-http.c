/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* As little HTTP as a scraper and a health check need (RFC 9112): one request for each connection. */

#include <stdio.h>

#include "fdpassctl/serve.h"

void serve_reply_http(ServePeer *peer, const char *status, const char *type, const char *body, size_t n, bool has_body) {
        FILE *f = open_memstream(&peer->reply, &peer->n_reply);

        if (!f)
                return;

        fprintf(f, "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nCache-Control: no-store\r\n"
                   "Connection: close\r\n%s\r\n", status, type, n,
                startswith(status, "405") ? "Allow: GET, HEAD\r\n" : "");
        if (has_body)
                (void) fwrite(body, 1, n, f);
        if (fclose(f) != 0)
                peer->n_reply = 0; /* there is no reply without memory */
}

void serve_reply_status(ServePeer *peer, const char *status) {
        char body[64];
        int n = snprintf(body, sizeof(body), "%s\n", status);

        serve_reply_http(peer, status, "text/plain; charset=utf-8", body, (size_t) n, true);
}

bool serve_read_http(ServePeer *peer, HttpFacts *ret, bool *ret_more) {
        *ret_more = false;

        switch (probe_http1((const uint8_t *) peer->question, peer->n_question, sizeof(peer->question), ret)) {

        case PROBE_NEED_MORE:
                *ret_more = true;
                return false;

        case PROBE_MATCH:
                if (slice_equal(ret->method, SLICE_LITERAL("GET")) || slice_equal(ret->method, SLICE_LITERAL("HEAD")))
                        return true;

                serve_reply_status(peer, "405 Method Not Allowed");
                return false;

        case PROBE_NO_MATCH:
        case PROBE_MALFORMED:
                break;
        }

        serve_reply_status(peer, "400 Bad Request");
        return false;
}
