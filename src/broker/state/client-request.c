/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/state/client-request.h"

#include <stdio.h>

/* Writes @s with at most @max bytes of it. @ret has room for four bytes for each, and for "…". */
static void client_request_escape(Slice s, size_t max, char *ret) {
        size_t n = MIN(s.n, max);

        for (size_t i = 0; i < n; i++) {
                uint8_t c = s.p[i];

                if (c > ' ' && c < 0x7f && c != '"' && c != '\\')
                        *ret++ = (char) c;
                else
                        ret += snprintf(ret, 5, "\\x%02x", c);
        }

        strcpy(ret, s.n > max ? "…" : "");
}

int client_request_new(const Probe *probe, ClientRequest **ret) {
        const ProbeName *host = probe->protocol == PROBE_HTTP  ? &probe->http.host
                                : probe->protocol == PROBE_TLS ? &probe->tls.name
                                                               : NULL;
        ClientRequest *r;

        *ret = NULL;
        if (!host)
                return 0;

        r = calloc(1, sizeof(*r));
        if (!r)
                return -ENOMEM;

        memcpy(r->host, host->text, host->n);
        if (probe->protocol == PROBE_HTTP) {
                client_request_escape(probe->http.method, REQUEST_METHOD_MAX, r->method);
                client_request_escape(probe->http.path, REQUEST_PATH_MAX, r->path);
        }

        *ret = r;
        return 0;
}

const char *client_request_to_text(const ClientRequest *r, char *ret, size_t size) {
        (void) snprintf(ret, size, "%s%s%s%s", r->method, *r->method ? " " : "", r->host, r->path);
        return ret;
}
