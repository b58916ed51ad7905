/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Probes: pure functions over the first bytes of a client. A probe does not allocate, does no I/O and keeps no state
 * between two calls. After NEED_MORE the caller calls it again with all bytes that have arrived.
 *
 * Facts point into the probed bytes. Only host names are copied (name.h).
 */

#include "probe/http.h"
#include "probe/preface.h"
#include "probe/proxy.h"
#include "probe/slice.h"
#include "probe/tls.h"
#include "probe/verdict.h"

typedef enum ProbeProtocol {
        PROBE_UNKNOWN, /* another protocol, or not known yet */
        PROBE_HTTP,
        PROBE_HTTP2,
        PROBE_TLS,
        PROBE_SSH,
        PROBE_PROXY, /* always MALFORMED: a listener that expects the header calls probe_proxy() first */
} ProbeProtocol;

typedef struct Probe {
        /*
         * The protocol of the client. With NEED_MORE it is set once it is certain, so that a refusal at the deadline
         * uses that protocol. With NO_MATCH it is PROBE_UNKNOWN.
         */
        ProbeProtocol protocol;
        ProbeReason reason; /* with MALFORMED only */

        /* The member for the protocol is valid, with MATCH only. */
        union {
                HttpFacts http;
                TlsFacts tls;
                SshFacts ssh;
        };
} Probe;

/*
 * Probes @n bytes at @p for every protocol. @max limits HTTP heads and TLS hellos, in bytes. NO_MATCH: the protocol is
 * unknown, but a route may still match by listener, source or prefix. The caller detects clients that send nothing.
 */
ProbeVerdict probe_client(const uint8_t *p, size_t n, size_t max, Probe *ret);

/* Returns "http", "http2", "tls", "ssh", "proxy" or "unknown". */
const char *probe_protocol_to_string(ProbeProtocol protocol);
