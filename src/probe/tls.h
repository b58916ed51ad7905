/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The ClientHello of TLS (RFC 8446 4.1.2, RFC 5246 7.4.1.2), over any number of records.
 *
 * With Encrypted ClientHello (extension 0xfe0d) only the outer hello can be read; its name is the public
 * one of the provider, and the real one is for the server's key. GREASE values (RFC 8701) are passed over.
 */

#include "probe/name.h"
#include "probe/slice.h"
#include "probe/verdict.h"

/*
 * A place in the hello. It is a Slice as if the headers of the records were not there: the hello may be cut
 * into records anywhere, and nothing is copied to put it together.
 */
typedef struct TlsReader {
        Slice bytes;      /* from here to the end of the last record of the hello, with record headers */
        size_t in_record; /* bytes left in this record */
        size_t n;         /* bytes left of what this reader reads */
} TlsReader;

typedef struct TlsFacts {
        ProbeReason reason; /* with MALFORMED only */

        /* All others are valid with MATCH only. */
        ProbeName name;       /* server_name (RFC 6066 3); n = 0: none */
        uint16_t version;     /* the highest that is offered: 0x0304 is TLS 1.3 */
        bool has_ech;         /* encrypted_client_hello is there; a GREASE one looks the same */
        TlsReader alpn;       /* the protocols (RFC 7301 3.1), for tls_next_alpn() */
        size_t hello_length;  /* with the record headers */
} TlsFacts;

/* One protocol's name: bytes, not text. */
typedef struct TlsProtocol {
        uint8_t n;
        uint8_t bytes[UINT8_MAX];
} TlsProtocol;

/*
 * Probes @n bytes at @p. A hello that is not complete within its first @max bytes, record headers counted,
 * is MALFORMED (TOO_LARGE). A hello of SSL 2.0 is recognised, and MALFORMED.
 */
ProbeVerdict probe_tls(const uint8_t *p, size_t n, size_t max, TlsFacts *ret);

/* Takes the next protocol off *alpn, which begins as a copy of TlsFacts.alpn; false at the end. */
bool tls_next_alpn(TlsReader *alpn, TlsProtocol *ret);
