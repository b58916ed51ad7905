/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Translates the results of probes into the facts that routes ask for. */

#include "match/match.h"

/*
 * Adds to @f what @probe found. The verdict of @probe has to be PROBE_MATCH. @f borrows from @probe, which has to
 * outlive it.
 */
void facts_add_probe(ClientFacts *f, const Probe *probe);

/*
 * Adds AUTHORITY, ALPN and SSL of a PROXY header (proxy_keep_tlvs()). To be called before facts_add_probe(), because the
 * client's own bytes count more. The host is written to @name. @f borrows from @name and @tlvs.
 */
void facts_add_proxy(ClientFacts *f, Slice tlvs, ProbeName *name);

/*
 * Adds the facts of a TLS stage: @ssl is the value of its SSL TLV (handoff/protocol.h). To be called before
 * facts_add_probe(). The host is written to @name. @f borrows from @name.
 */
void facts_add_stage(ClientFacts *f, Slice ssl, ProbeName *name);

/* True if this value of an SSL TLV, which may be empty, says that the client spoke TLS. */
static inline bool facts_ssl_is_tls(Slice ssl) {
        return ssl.n > 0 && ssl.p[0] & PROXY_SSL_CLIENT;
}

/* Memory for what facts_take_proxy() adds. */
typedef struct ProxiedFacts {
        struct sockaddr_storage source;
        ProbeName name;
        uint8_t tlvs[PROXY_KEPT_MAX];
} ProxiedFacts;

/*
 * Takes a PROXY header off the beginning of @f->head, as the broker does for a client of a trusted proxy, and adds its
 * facts to @f, which borrows from @memory. Returns the verdict of probe_proxy(). Only PROBE_MATCH changes @f.
 * *ret_reason is set with PROBE_MALFORMED.
 */
ProbeVerdict facts_take_proxy(ClientFacts *f, ProxiedFacts *memory, ProbeReason *ret_reason);
