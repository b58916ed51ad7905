/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Routes, and facts of clients to look for them by. */

#include "test.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "match/match.h"

#define LIST(...) ((char **) (uintptr_t) (const char *const[]){ __VA_ARGS__, NULL })
#define HEADERS(...) .headers = (HeaderMatch[]){ __VA_ARGS__ }, .n_headers = sizeof((HeaderMatch[]){ __VA_ARGS__ }) / sizeof(HeaderMatch)
#define HEADER(name, glob) { (char *) (uintptr_t) (name), (char *) (uintptr_t) (glob) }
#define PREFIXES(...) .prefixes = (BytesMatch[]){ __VA_ARGS__ }, .n_prefixes = sizeof((BytesMatch[]){ __VA_ARGS__ }) / sizeof(BytesMatch)
#define PREFIX(s) { (uint8_t *) (uintptr_t) (s), sizeof(s) - 1 }
#define SOURCES(...) .sources = (AddressRange[]){ __VA_ARGS__ }, .n_sources = sizeof((AddressRange[]){ __VA_ARGS__ }) / sizeof(AddressRange)
#define NET(bits) { AF_INET, { 192, 0, 2 }, bits }

#define TEXT(s) ((char *) (uintptr_t) (s))

#define HTTP (1U << PROBE_HTTP)
#define TLS (1U << PROBE_TLS)
#define SSH (1U << PROBE_SSH)

#define NONE SIZE_MAX

/* A client with the memory that its facts point to. */
typedef struct Sample {
        ProbeName name;
        struct sockaddr_in source;
        TlsFacts tls;
        char alpn[64];
        char fields[128];
        ClientFacts facts;
} Sample;

static inline void sample_make(Sample *p, unsigned protocol, const char *listener, const char *source, const char *head) {
        *p = (Sample){ .source.sin_family = AF_INET };
        assert_int_equal(inet_pton(AF_INET, source, &p->source.sin_addr), 1);
        p->facts = (ClientFacts){
                .listener = listener,
                .protocol = protocol,
                .source = (struct sockaddr *) &p->source,
                .head = slice_from_string(head),
        };
}

static inline void sample_set_host(Sample *p, const char *host) {
        assert_true(probe_name_set(&p->name, slice_from_string(host)));
        p->facts.host = &p->name;
}

static inline void sample_add_alpn(Sample *p, const char *alpn) {
        size_t n = p->tls.alpn.n;

        p->alpn[n] = (char) strlen(alpn);
        memcpy(p->alpn + n + 1, alpn, strlen(alpn));
        p->tls.alpn.n = p->tls.alpn.in_record = n + 1 + strlen(alpn);
        p->tls.alpn.bytes = (Slice){ (const uint8_t *) p->alpn, p->tls.alpn.n };
        p->facts.tls = &p->tls;
}

static inline MatchIndex *index_of(const RouteMatch *routes, const char *const *units, size_t n) {
        MatchIndex *index;

        assert_int_equal(match_index_new(&index), 0);
        for (size_t i = 0; i < n; i++)
                assert_int_equal(match_index_add(index, &routes[i], units[i], i), 0);
        assert_int_equal(match_index_finish(index), 0);
        return index;
}

static inline size_t find(const MatchIndex *index, const ClientFacts *facts) {
        MatchResult result;

        match_index_find(index, facts, &result);
        return result.found ? result.pool : NONE;
}
