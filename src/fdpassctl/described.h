/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* For fdpassctl test. */

#include <netinet/in.h>

#include "broker/facts.h"
#include "broker/match.h"
#include "fdpassctl/fdpassctl.h"

/* A client as the command line describes it. */
typedef struct Described {
        Facts facts;
        bool running;            /* the broker is asked, not the units */
        bool has_listener;       /* --listener= was given */
        const char *source_text;
        ProbeName host;
        struct sockaddr_in6 source;
        Probe probe;             /* with --bytes= */
        struct sockaddr_storage proxied; /* the client's address, by a PROXY header in them */
        ProbeReason malformed;   /* only a route with Prefix= can want these bytes */
        uint8_t bytes[65536];
        char fields[4096];       /* the --header= lines, as they stand in a head */
        char alpn[1024];         /* the list as it stands in a hello (RFC 7301 3.1) */
        TlsFacts tls;
} Described;

/* What is wrong with the request that the options make, as the broker would see it? */
ProbeReason described_check_request(const Described *d, size_t max_head_size);

/* Asks the broker which route the client would take now. Returns the exit status. */
int test_running(const Described *d);
