/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "match/facts.h"

#include "handoff/protocol.h"

static void facts_add_http(ClientFacts *f, const HttpFacts *http) {
        if (http->host.n > 0 || !f->host)
                f->host = &http->host;
        if (http->form == HTTP_FORM_ABSOLUTE && !probe_name_equal(&http->host, &http->overridden_host))
                f->overridden_host = &http->overridden_host;
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
                if (probe->tls.name.n > 0 || probe->tls.name_is_unusable || !f->host)
                        f->host = &probe->tls.name;
                f->tls = &probe->tls;
        }
}

void facts_add_proxy(ClientFacts *f, Slice tlvs, ProbeName *name) {
        if (probe_name_set(name, slice_find_tlv(tlvs, PROXY_TLV_AUTHORITY)))
                f->host = name;
        f->alpn = slice_find_tlv(tlvs, PROXY_TLV_ALPN);
        f->is_tls = facts_ssl_is_tls(slice_find_tlv(tlvs, PROXY_TLV_SSL));
}

void facts_add_stage(ClientFacts *f, Slice ssl, ProbeName *name) {
        Slice text = slice_find_tlv(slice_skip(ssl, FDPASS_SSL_TLVS_AT), FDPASS_SSL_TLV_NAME);

        f->is_tls = facts_ssl_is_tls(ssl);
        if (!text.p)
                return;

        f->tls_name = name;
        if (probe_name_set(name, text))
                f->host = name;
        else
                *name = (ProbeName){};
}

ProbeVerdict facts_take_proxy(ClientFacts *f, ProxiedFacts *memory, ProbeReason *ret_reason) {
        ProxyFacts proxy;
        ProbeVerdict v = probe_proxy(f->head.p, f->head.n, &proxy);

        *ret_reason = proxy.reason;
        if (v != PROBE_MATCH)
                return v;

        f->head = slice_skip(f->head, proxy.header_length);
        memory->source = proxy.source;
        if (proxy.source_length > 0)
                f->source = (const struct sockaddr *) &memory->source;
        facts_add_proxy(f, (Slice){ memory->tlvs, proxy_keep_tlvs(proxy.tlvs, memory->tlvs) }, &memory->name);
        return v;
}
