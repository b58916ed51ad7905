/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "probe/probe.h"

static ProbeVerdict client_is_tls(Slice s, size_t max, Probe *probe) {
        ProbeVerdict v = probe_tls(s.p, s.n, max, &probe->tls);

        probe->reason = probe->tls.reason;
        /* Type and major version of the first record fit; before that SSL 2.0 and others are possible. */
        if (v != PROBE_NEED_MORE || (s.n >= 2 && s.p[0] < 0x80))
                probe->protocol = PROBE_TLS;

        return v;
}

static ProbeVerdict client_is_http2(Slice s, size_t max _unused_, Probe *probe) {
        ProbeVerdict v = probe_h2_preface(s.p, s.n);

        if (v == PROBE_MATCH)
                probe->protocol = PROBE_HTTP2;

        return v;
}

static ProbeVerdict client_is_ssh(Slice s, size_t max _unused_, Probe *probe) {
        ProbeVerdict v = probe_ssh(s.p, s.n, &probe->ssh);

        probe->reason = probe->ssh.reason;
        if (v != PROBE_NEED_MORE || s.n >= strlen("SSH-"))
                probe->protocol = PROBE_SSH;

        return v;
}

static ProbeVerdict client_is_proxy(Slice s, size_t max _unused_, Probe *probe) {
        ProbeVerdict v = probe_proxy_signature(s.p, s.n);

        if (v != PROBE_MATCH)
                return v;

        probe->protocol = PROBE_PROXY;
        probe->reason = PROBE_REASON_PROXY_UNEXPECTED;
        return PROBE_MALFORMED;
}

static ProbeVerdict client_is_http(Slice s, size_t max, Probe *probe) {
        ProbeVerdict v = probe_http1(s.p, s.n, max, &probe->http);

        probe->reason = probe->http.reason;
        if (v != PROBE_NEED_MORE || probe->http.method.n > 0)
                probe->protocol = PROBE_HTTP;

        return v;
}

ProbeVerdict probe_client(const uint8_t *p, size_t n, size_t max, Probe *ret) {
        /*
         * In this order: each of the first four is known by a signature, and where one of them needs more
         * to tell, HTTP needs more as well ("P" begins PROXY, PRI and POST).
         */
        static ProbeVerdict (*const probes[])(Slice, size_t, Probe *) = {
                client_is_tls, client_is_http2, client_is_ssh, client_is_proxy, client_is_http,
        };

        for (size_t i = 0; i < ELEMENTSOF(probes); i++) {
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
        switch (protocol) {

        case PROBE_UNKNOWN:
                return "unknown";

        case PROBE_HTTP:
                return "http";

        case PROBE_HTTP2:
                return "http2";

        case PROBE_TLS:
                return "tls";

        case PROBE_SSH:
                return "ssh";

        case PROBE_PROXY:
                return "proxy";
        }

        return "unknown";
}
