/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The header of the PROXY protocol, version 1 (a line) and 2 (binary). Sections are those of HAProxy's
 * doc/proxy-protocol.txt, which forbids a receiver to guess whether there is a header (section 2).
 */

#include <sys/socket.h>

#include "probe/slice.h"
#include "probe/verdict.h"

/* Limit of a line of version 1 with its CRLF, in bytes (section 2.1). */
#define PROXY_V1_MAX 107

#define PROXY_V2_SIGNATURE SLICE_LITERAL("\r\n\r\n\0\r\nQUIT\n")

/* Size of the fixed part, and our limit of the rest, in bytes. Section 2.2 allows 64 KiB and requires at least 536. */
#define PROXY_V2_HEADER_SIZE 16
#define PROXY_V2_LENGTH_MAX 4096

/* Types of TLVs that fdpass interprets (section 2.2). */
enum {
        PROXY_TLV_ALPN = 0x01,
        PROXY_TLV_AUTHORITY = 0x02,
        PROXY_TLV_CRC32C = 0x03,
        PROXY_TLV_NOOP = 0x04,
        PROXY_TLV_UNIQUE_ID = 0x05,
        PROXY_TLV_SSL = 0x20,
};

/* Bit of the first byte of PROXY_TLV_SSL: the client spoke TLS (section 2.2.6). */
#define PROXY_SSL_CLIENT 0x01

typedef struct ProxyFacts {
        ProbeReason reason; /* with MALFORMED only */

        /* All others are valid with MATCH only. */
        unsigned version;     /* 1 or 2 */
        bool is_local;        /* LOCAL: the connection is of the proxy itself, such as a health check */
        int type;             /* SOCK_STREAM or SOCK_DGRAM; 0: no addresses */
        struct sockaddr_storage source;
        struct sockaddr_storage destination;
        socklen_t source_length; /* 0: no addresses (LOCAL, UNKNOWN, UNSPEC), so use those of the connection */
        socklen_t destination_length;
        Slice tlvs;           /* for reader_tlv() */
        size_t header_length; /* bytes to consume */
} ProxyFacts;

/* Most bytes of TLVs that are passed on to workers, with types and lengths. */
#define PROXY_KEPT_MAX 1024

/*
 * Copies the TLVs that workers and routes may see, in their order, and returns the number of bytes. CRC32C and NOOP are
 * left out, because they say nothing about the client. A TLV that does not fit into PROXY_KEPT_MAX is left out, too.
 */
size_t proxy_keep_tlvs(Slice tlvs, uint8_t ret[static PROXY_KEPT_MAX]);

/* Probes @n bytes at @p for a header of either version. The facts point into the bytes. */
ProbeVerdict probe_proxy(const uint8_t *p, size_t n, ProxyFacts *ret);

/* Returns MATCH once the bytes can only be a PROXY header, valid or not. */
ProbeVerdict probe_proxy_signature(const uint8_t *p, size_t n);
