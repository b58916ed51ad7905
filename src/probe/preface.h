/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Protocols that say what they are in their first line: HTTP/2, SSH, and whatever a route's Prefix= names.
 */

#include "probe/slice.h"
#include "probe/verdict.h"

/* MATCH where the bytes begin with @prefix. An empty prefix matches always. */
ProbeVerdict probe_prefix(const uint8_t *p, size_t n, Slice prefix);

/*
 * The client's connection preface (RFC 9113 3.4), without an upgrade before it. No host can be told from
 * it: the names are in compressed header blocks, and many of them share a connection.
 */
ProbeVerdict probe_h2_preface(const uint8_t *p, size_t n);

typedef struct SshFacts {
        ProbeReason reason; /* with MALFORMED only */
        Slice software;     /* "OpenSSH_9.2p1 Debian-2": software version and comment, with MATCH only */
} SshFacts;

/*
 * The client's identification line (RFC 4253 4.2), which has at most 255 bytes: "SSH-2.0-" or "SSH-1.99-",
 * and printable ASCII. A LF alone ends it too, as that section has it for old clients.
 */
ProbeVerdict probe_ssh(const uint8_t *p, size_t n, SshFacts *ret);
