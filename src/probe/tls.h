/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The ClientHello of TLS (RFC 8446 4.1.2, RFC 5246 7.4.1.2), in any number of records.
 *
 * With Encrypted ClientHello (extension 0xfe0d) only the outer hello is readable. Its name is the public name of the
 * provider, because the inner name is encrypted. GREASE values (RFC 8701) are skipped.
 *
 * Many clients send a server_name that is no host name (RFC 6066 3): an IP address, a name with a port or an asterisk.
 * Servers take such a hello, so it is no error. Its client has no name for routes.
 */

#include "probe/name.h"
#include "probe/slice.h"
#include "probe/verdict.h"

/*
 * A reader of the hello that skips the headers of records. A hello may be split into records at any byte, and nothing
 * is copied to join it.
 */
typedef struct TlsReader {
        Slice bytes;      /* bytes left up to the end of the last record, with record headers */
        size_t in_record; /* bytes left in the current record */
        size_t n;         /* bytes left for this reader, without record headers */
} TlsReader;

typedef struct TlsFacts {
        ProbeReason reason; /* with MALFORMED only */

        /* All others are valid with MATCH only. */
        ProbeName name;       /* server_name (RFC 6066 3); n = 0: none that is the name of a host */
        bool name_is_unusable; /* there is a server_name, and it is not the name of one host */
        uint16_t version;     /* highest offered version; 0x0304 is TLS 1.3 */
        bool has_ech;         /* it has encrypted_client_hello, perhaps as GREASE */
        TlsReader alpn;       /* protocols (RFC 7301 3.1), for tls_next_alpn() */
        size_t hello_length;  /* length with the record headers, in bytes */
} TlsFacts;

/* The name of an ALPN protocol: bytes, not text. */
typedef struct TlsProtocol {
        uint8_t n;
        uint8_t bytes[UINT8_MAX];
} TlsProtocol;

/*
 * Probes @n bytes at @p. A hello that is incomplete after @max bytes, with record headers, is MALFORMED (TOO_LARGE). A
 * hello of SSL 2.0 is MALFORMED (TLS_SSLV2).
 */
ProbeVerdict probe_tls(const uint8_t *p, size_t n, size_t max, TlsFacts *ret);

/* Removes the next protocol from *alpn, which begins as a copy of TlsFacts.alpn. Returns false at the end. */
bool tls_next_alpn(TlsReader *alpn, TlsProtocol *ret);
