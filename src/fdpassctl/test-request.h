/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The client that the options of fdpassctl test describe. */

#include <netinet/in.h>

#include "match/facts.h"
#include "match/match.h"

typedef struct TestRequest {
        ClientFacts facts;             /* what routes match; points into the other fields */
        bool is_for_broker;      /* --running: the running broker is asked, not the units */
        bool has_listener;       /* --listener= was given */
        bool is_unread;          /* the broker reads no bytes at this listener */
        const char *source_text; /* --source=; NULL: not given */
        ProbeName host;          /* --host= */
        ProbeName tls_name;      /* --tls= */
        const char *sni;         /* --sni=; NULL: not given */
        struct sockaddr_in6 source;
        Probe probe;             /* of @bytes */
        ProxiedFacts proxied;    /* of the PROXY header of --bytes= */
        ProbeReason malformed;   /* why the bytes are wrong; only a route with Prefix= can take the client then */
        uint8_t bytes[65536];    /* --bytes=, or the hello that --sni= and --alpn= describe */
        char fields[4096];       /* --header= lines, as in an HTTP head */
        char alpn[1024];         /* --alpn= names, as in a ClientHello (RFC 7301 3.1) */
        size_t n_alpn;           /* bytes in @alpn */
} TestRequest;

/*
 * Parses the options into @d, which must be zero and must stay where it is. Returns 1 to go on, 0 after --help or
 * --version, or -EINVAL after a message.
 */
int test_request_parse(int argc, char *argv[], TestRequest *d);
