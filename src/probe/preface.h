/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Protocols that the first bytes identify: HTTP/2, SSH, and the Prefix= of a route. */

#include "probe/slice.h"
#include "probe/verdict.h"

/* Returns MATCH if the bytes begin with @prefix. An empty prefix always matches. */
ProbeVerdict probe_prefix(const uint8_t *p, size_t n, Slice prefix);

/*
 * Probes for the client's connection preface (RFC 9113 3.4) with prior knowledge. It has no host: the names are in
 * compressed header blocks, and requests for several hosts share a connection.
 */
ProbeVerdict probe_h2_preface(const uint8_t *p, size_t n);

typedef struct SshFacts {
        ProbeReason reason; /* with MALFORMED only */
        Slice software;     /* software version and comment ("OpenSSH_9.2p1 Debian-2"); with MATCH only */
} SshFacts;

/*
 * Probes for the client's identification line (RFC 4253 4.2): "SSH-2.0-" or "SSH-1.99-", then printable ASCII, at most
 * 255 bytes with its CRLF. A LF alone ends the line too, as that section allows for old clients.
 */
ProbeVerdict probe_ssh(const uint8_t *p, size_t n, SshFacts *ret);
