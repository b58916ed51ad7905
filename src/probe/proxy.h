/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The header of the PROXY protocol, version 1 (a line) and 2 (binary), as in HAProxy's
 * doc/proxy-protocol.txt. Sections are those of that text.
 *
 * Where it is expected it has to be there ("the receiver must not try to guess"), and is consumed to the
 * byte.
 */

#include <sys/socket.h>

#include "probe/slice.h"
#include "probe/verdict.h"

/* Section 2.1: the longest line, CRLF counted. */
#define PROXY_V1_MAX 107

/* Section 2.2 lets a header be 64 KiB long, and wants 536 bytes at least to be taken. */
#define PROXY_V2_HEADER_SIZE 16
#define PROXY_V2_LENGTH_MAX 4096

/* Types of TLVs that fdpass reads (section 2.2). */
enum {
        PROXY_TLV_ALPN = 0x01,
        PROXY_TLV_AUTHORITY = 0x02,
        PROXY_TLV_CRC32C = 0x03,
        PROXY_TLV_NOOP = 0x04,
        PROXY_TLV_UNIQUE_ID = 0x05,
        PROXY_TLV_SSL = 0x20,
};

typedef struct ProxyFacts {
        ProbeReason reason; /* with MALFORMED only */

        /* All others are valid with MATCH only. */
        unsigned version;     /* 1 or 2 */
        bool is_local;        /* LOCAL: the proxy speaks for itself (a health check) */
        int type;             /* SOCK_STREAM or SOCK_DGRAM; 0 where there are no addresses */
        struct sockaddr_storage source;
        struct sockaddr_storage destination;
        socklen_t source_length; /* 0: none (LOCAL, UNKNOWN, UNSPEC): the connection's own addresses stand */
        socklen_t destination_length;
        Slice tlvs;           /* for proxy_next_tlv() */
        size_t header_length; /* what has to be consumed */
} ProxyFacts;

/* Probes for a header of either version. The facts point into the bytes. */
ProbeVerdict probe_proxy(const uint8_t *p, size_t n, ProxyFacts *ret);

/* MATCH as soon as the bytes can only be such a header, right or wrong. */
ProbeVerdict probe_proxy_signature(const uint8_t *p, size_t n);

/*
 * Takes the next TLV off *tlvs, which begins as a copy of ProxyFacts.tlvs; false at the end. The ones
 * inside a PROXY_TLV_SSL begin at its sixth byte (section 2.2.6) and are read the same way.
 */
bool proxy_next_tlv(Slice *tlvs, uint8_t *ret_type, Slice *ret_value);
