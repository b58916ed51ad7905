/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * All that a probe found out, as one line of text: two outcomes are the same where their lines are. Unit
 * tests, fuzz targets and the interoperability tests share it.
 */

#include <stdarg.h>
#include <stdio.h>

#include "basic/address.h"
#include "probe/probe.h"

#define PROBE_TEXT_MAX 4096

typedef struct ProbeText {
        size_t n;
        char text[PROBE_TEXT_MAX]; /* what does not fit is left out */
} ProbeText;

static inline void _printf_(2, 3) text_add(ProbeText *t, const char *format, ...) {
        va_list ap;
        int k;

        va_start(ap, format);
        k = vsnprintf(t->text + t->n, sizeof(t->text) - t->n, format, ap);
        va_end(ap);

        t->n = MIN(t->n + (size_t) k, sizeof(t->text) - 1);
}

/* Visible ASCII as it is, the rest as "\xNN". */
static inline void text_add_bytes(ProbeText *t, const uint8_t *p, size_t n) {
        for (size_t i = 0; i < n; i++)
                text_add(t, p[i] > 0x20 && p[i] < 0x7f && p[i] != '\\' ? "%c" : "\\x%02x", p[i]);
}

static inline const char *verdict_to_string(ProbeVerdict v) {
        static const char *const names[] = {
                [PROBE_NEED_MORE] = "need-more",
                [PROBE_MATCH] = "match",
                [PROBE_NO_MATCH] = "no-match",
                [PROBE_MALFORMED] = "malformed",
        };

        return names[v];
}

static inline void text_of_http(ProbeText *t, const HttpFacts *f) {
        Slice fields = f->fields, name, value;
        unsigned n = 0;

        while (http_next_field(&fields, &name, &value))
                n++;

        text_add(t, " host=%s overridden=%s port=%u path=", f->host.n > 0 ? f->host.text : "-",
                 f->overridden_host.n > 0 ? f->overridden_host.text : "-", f->port);
        text_add_bytes(t, f->path.p, f->path.n);
        text_add(t, " ambiguous=%u form=%u minor=%u fields=%u head=%zu method=",
                 http_path_is_ambiguous(f->path), f->form, f->minor, n, f->head_length);
        text_add_bytes(t, f->method.p, f->method.n);
        text_add(t, " target=");
        text_add_bytes(t, f->target.p, f->target.n);
}

static inline void text_of_tls(ProbeText *t, const TlsFacts *f) {
        TlsReader alpn = f->alpn;
        const char *comma = "";
        TlsProtocol protocol;

        text_add(t, " name=%s version=%04x ech=%u length=%zu alpn=",
                 f->name.n > 0 ? f->name.text : f->name_is_unusable ? "?" : "-", f->version, f->has_ech, f->hello_length);

        for (; tls_next_alpn(&alpn, &protocol); comma = ",") {
                text_add(t, "%s", comma);
                text_add_bytes(t, protocol.bytes, protocol.n);
        }
}

/* The result of probe_client() as text. */
static inline ProbeVerdict probe_text_client(ProbeText *t, const uint8_t *p, size_t n, size_t max) {
        Probe probe;
        ProbeVerdict v;

        v = probe_client(p, n, max, &probe);
        t->n = 0;
        text_add(t, "%s %s", verdict_to_string(v), probe_protocol_to_string(probe.protocol));

        if (v == PROBE_MALFORMED)
                text_add(t, " reason=%s", probe_reason_to_string(probe.reason));
        else if (v == PROBE_MATCH && probe.protocol == PROBE_HTTP)
                text_of_http(t, &probe.http);
        else if (v == PROBE_MATCH && probe.protocol == PROBE_TLS)
                text_of_tls(t, &probe.tls);
        else if (v == PROBE_MATCH && probe.protocol == PROBE_SSH) {
                text_add(t, " software=");
                text_add_bytes(t, probe.ssh.software.p, probe.ssh.software.n);
        }

        return v;
}

/* The result of probe_proxy() as text. */
static inline ProbeVerdict probe_text_proxy(ProbeText *t, const uint8_t *p, size_t n) {
        char source[ADDRESS_TEXT_MAX], destination[ADDRESS_TEXT_MAX];
        ProxyFacts f;
        ProbeVerdict v;
        uint8_t type;
        Slice value;

        v = probe_proxy(p, n, &f);
        t->n = 0;
        text_add(t, "%s proxy", verdict_to_string(v));

        if (v == PROBE_MALFORMED)
                text_add(t, " reason=%s", probe_reason_to_string(f.reason));
        if (v != PROBE_MATCH)
                return v;

        address_to_text((const struct sockaddr *) &f.source, f.source_length, source);
        address_to_text((const struct sockaddr *) &f.destination, f.destination_length, destination);
        text_add(t, " version=%u local=%u type=%i source=%s destination=%s length=%zu tlvs=",
                 f.version, f.is_local, f.type, f.source_length > 0 ? source : "-",
                 f.destination_length > 0 ? destination : "-", f.header_length);

        while (reader_tlv(&f.tlvs, &type, &value)) {
                text_add(t, "%02x:", type);
                text_add_bytes(t, value.p, value.n);
                text_add(t, ",");
        }

        return v;
}
