/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "probe/probe.h"

static ProbeVerdict probe_client_tls(Slice s, size_t max, Probe *probe) {
        ProbeVerdict v = probe_tls(s.p, s.n, max, &probe->tls);

        probe->reason = probe->tls.reason;
        /* Type and major version of the first record are right. Fewer bytes could be SSL 2.0 or another protocol. */
        if (v != PROBE_NEED_MORE || (s.n >= 2 && s.p[0] < 0x80))
                probe->protocol = PROBE_TLS;

        return v;
}

static ProbeVerdict probe_client_http2(Slice s, size_t max _unused_, Probe *probe) {
        ProbeVerdict v = probe_h2_preface(s.p, s.n);

        if (v == PROBE_MATCH)
                probe->protocol = PROBE_HTTP2;

        return v;
}

static ProbeVerdict probe_client_ssh(Slice s, size_t max _unused_, Probe *probe) {
        ProbeVerdict v = probe_ssh(s.p, s.n, &probe->ssh);

        probe->reason = probe->ssh.reason;
        if (v != PROBE_NEED_MORE || s.n >= strlen("SSH-"))
                probe->protocol = PROBE_SSH;

        return v;
}

static ProbeVerdict probe_client_proxy(Slice s, size_t max _unused_, Probe *probe) {
        ProbeVerdict v = probe_proxy_signature(s.p, s.n);

        if (v != PROBE_MATCH)
                return v;

        probe->protocol = PROBE_PROXY;
        probe->reason = PROBE_REASON_PROXY_UNEXPECTED;
        return PROBE_MALFORMED;
}

static ProbeVerdict probe_client_http(Slice s, size_t max, Probe *probe) {
        ProbeVerdict v = probe_http1(s.p, s.n, max, &probe->http);

        probe->reason = probe->http.reason;
        if (v != PROBE_NEED_MORE || probe->http.method.n > 0)
                probe->protocol = PROBE_HTTP;

        return v;
}

/* True if this may be the first byte of TLS, HTTP/2, SSH or PROXY. Of letters only "P" (PRI, PROXY) and "S" (SSH) are. */
static bool probe_may_be_signature(uint8_t first) {
        return first < 'A' || first > 'Z' || first == 'P' || first == 'S';
}

ProbeVerdict probe_client(const uint8_t *p, size_t n, size_t max, Probe *ret) {
        /*
         * HTTP is last, because the other four have signatures. If one of these needs more bytes, HTTP does too ("P"
         * begins PROXY, PRI and POST), so the first verdict other than NO_MATCH is right.
         */
        static ProbeVerdict (*const probes[])(Slice, size_t, Probe *) = {
                probe_client_tls, probe_client_http2, probe_client_ssh, probe_client_proxy, probe_client_http,
        };

        /* Most requests begin with another letter: then four probes need not be asked. */
        size_t first = n > 0 && !probe_may_be_signature(p[0]) ? ELEMENTSOF(probes) - 1 : 0;

        for (size_t i = first; i < ELEMENTSOF(probes); i++) {
                ProbeVerdict v;

                ret->protocol = PROBE_UNKNOWN;
                ret->reason = PROBE_REASON_NONE;

                v = probes[i]((Slice){ p, n }, max, ret);
                if (v != PROBE_NO_MATCH)
                        return v;
        }

        ret->protocol = PROBE_UNKNOWN;
        return PROBE_NO_MATCH;
}

const char *probe_protocol_to_string(ProbeProtocol protocol) {
        static const char *const names[] = {
                [PROBE_UNKNOWN] = "unknown",
                [PROBE_HTTP] = "http",
                [PROBE_HTTP2] = "http2",
                [PROBE_TLS] = "tls",
                [PROBE_SSH] = "ssh",
                [PROBE_PROXY] = "proxy",
        };

        return protocol < ELEMENTSOF(names) ? names[protocol] : "unknown";
}
