/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Probes: pure functions over the first bytes of a client, of which each may come in pieces. None
 * allocates, does I/O or keeps anything between two calls: the caller peeks again and asks again with all
 * the bytes it has by then.
 *
 * Facts point into the bytes they were read from. Only host names are copied (probe/name.h says why).
 */

#include "probe/http.h"
#include "probe/preface.h"
#include "probe/proxy.h"
#include "probe/slice.h"
#include "probe/tls.h"
#include "probe/verdict.h"

typedef enum ProbeProtocol {
        PROBE_UNKNOWN, /* none of these, or not told apart yet */
        PROBE_HTTP,
        PROBE_HTTP2,
        PROBE_TLS,
        PROBE_SSH,
        PROBE_PROXY, /* only ever MALFORMED: probe_proxy() comes first where such a header is expected */
} ProbeProtocol;

typedef struct Probe {
        /*
         * With NEED_MORE: what it certainly is already, so that the refusal at the deadline can be spoken
         * in that protocol. With NO_MATCH: PROBE_UNKNOWN.
         */
        ProbeProtocol protocol;
        ProbeReason reason; /* with MALFORMED only */

        /* That of the protocol is valid, with MATCH only. */
        union {
                HttpFacts http;
                TlsFacts tls;
                SshFacts ssh;
        };
} Probe;

/*
 * Which protocol is this? @max limits HTTP heads and TLS hellos. NO_MATCH: it is none of those known here;
 * a route may still want it for its listener, its source or its prefix. A client that says nothing is the
 * caller's to find.
 */
ProbeVerdict probe_client(const uint8_t *p, size_t n, size_t max, Probe *ret);

/* "http", "http2", "tls", "ssh", "proxy", "unknown". */
const char *probe_protocol_to_string(ProbeProtocol protocol);
