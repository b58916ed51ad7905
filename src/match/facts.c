/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "match/facts.h"

static void facts_add_http(ClientFacts *f, const HttpFacts *http) {
        f->host = &http->host;
        f->method = http->method;
        f->fields = http->fields;

        /* "OPTIONS *" asks for no path of the host. */
        if (http->form != HTTP_FORM_ASTERISK)
                f->path = http->path.n > 0 ? http->path : SLICE_LITERAL("/");
}

void facts_add_probe(ClientFacts *f, const Probe *probe) {
        f->protocol = 1U << probe->protocol;

        if (probe->protocol == PROBE_HTTP)
                facts_add_http(f, &probe->http);
        else if (probe->protocol == PROBE_TLS) {
                f->host = &probe->tls.name;
                f->tls = &probe->tls;
        }
}
