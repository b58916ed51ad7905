/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Compares one route with one client, and routes with each other. */

#include "match/match.h"

#include <netinet/in.h>
#include <sys/un.h>

#include "match/match-header.h"

const char *match_key_to_string(MatchKey key) {
        static const char *const names[_MATCH_KEY_MAX] = {
                [MATCH_NO_MISS] = "",
                [MATCH_LISTENER] = "Listener=",
                [MATCH_PROTOCOL] = "Protocol=",
                [MATCH_HOST] = "Host=",
                [MATCH_PATH] = "Path=",
                [MATCH_METHOD] = "Method=",
                [MATCH_HEADER] = "Header=",
                [MATCH_ALPN] = "ALPN=",
                [MATCH_SOURCE] = "Source=",
                [MATCH_TLS] = "TLS=",
                [MATCH_PREFIX] = "Prefix=",
                [MATCH_NAME] = "InternalName=",
        };

        return names[key];
}

static bool match_takes_listener(const RouteMatch *m, const ClientFacts *f) {
        if (!m->listeners)
                return true;

        for (char **l = m->listeners; *l; l++)
                if (streq(*l, f->listener))
                        return true;

        return false;
}

static bool match_takes_protocol(const RouteMatch *m, const ClientFacts *f) {
        return m->protocols == 0 || m->protocols & f->protocol;
}

static bool match_host_is_below(const ProbeName *host, const char *suffix) {
        size_t n = strlen(suffix);

        /* @suffix begins with a dot. At least one character has to be before the dot. */
        return host->n > n && memcmp(host->text + host->n - n, suffix, n) == 0;
}

static bool match_takes_host(const RouteMatch *m, const ClientFacts *f) {
        if (!m->hosts)
                return true;
        if (!f->host || f->host->n == 0)
                return false;

        for (char **h = m->hosts; *h; h++)
                if ((*h)[0] == '*' ? match_host_is_below(f->host, *h + 1) : streq(f->host->text, *h))
                        return true;

        return false;
}

static bool match_takes_path(const RouteMatch *m, const ClientFacts *f) {
        if (!m->paths)
                return true;
        if (f->path.n == 0)
                return false;

        for (char **p = m->paths; *p; p++)
                if (http_path_has_prefix(f->path, slice_from_string(*p)))
                        return true;

        return false;
}

static bool match_takes_method(const RouteMatch *m, const ClientFacts *f) {
        if (!m->methods || f->is_any_request)
                return true;

        for (char **i = m->methods; *i; i++)
                if (slice_equal(f->method, slice_from_string(*i)))
                        return true;

        return false;
}

static bool match_takes_headers(const RouteMatch *m, const ClientFacts *f) {
        return match_takes_fields(m, f->fields);
}

static bool match_takes_one_alpn(const RouteMatch *m, Slice protocol) {
        for (char **i = m->alpns; *i; i++)
                if (slice_equal(protocol, slice_from_string(*i)))
                        return true;

        return false;
}

static bool match_takes_alpn(const RouteMatch *m, const ClientFacts *f) {
        TlsProtocol protocol;
        TlsReader alpn;

        if (!m->alpns)
                return true;
        if (!f->tls)
                return match_takes_one_alpn(m, f->alpn);

        alpn = f->tls->alpn;
        while (tls_next_alpn(&alpn, &protocol))
                if (match_takes_one_alpn(m, (Slice){ protocol.bytes, protocol.n }))
                        return true;

        return false;
}

/* Returns the bytes of an IP address, and four bytes for an IPv4 address mapped into IPv6. Empty for other families. */
static const uint8_t *match_address_bytes(const struct sockaddr *sa, int *ret_family) {
        if (sa && sa->sa_family == AF_INET) {
                *ret_family = AF_INET;
                return (const uint8_t *) &((const struct sockaddr_in *) (const void *) sa)->sin_addr;
        }

        if (sa && sa->sa_family == AF_INET6) {
                const struct in6_addr *a = &((const struct sockaddr_in6 *) (const void *) sa)->sin6_addr;

                *ret_family = IN6_IS_ADDR_V4MAPPED(a) ? AF_INET : AF_INET6;
                return IN6_IS_ADDR_V4MAPPED(a) ? a->s6_addr + 12 : a->s6_addr;
        }

        return NULL;
}

bool address_range_contains(const AddressRange *range, const struct sockaddr *sa) {
        unsigned whole = range->n_bits / 8, rest = range->n_bits % 8;
        const uint8_t *bytes;
        int family;

        if (range->family == AF_UNIX)
                return sa && sa->sa_family == AF_UNIX;

        bytes = match_address_bytes(sa, &family);
        if (!bytes || family != range->family)
                return false;

        if (memcmp(bytes, range->address, whole) != 0)
                return false;

        if (range->family == AF_UNIX)
                return sa && sa->sa_family == AF_UNIX;

        return rest == 0 || (bytes[whole] ^ range->address[whole]) >> (8 - rest) == 0;
}

static bool match_takes_source(const RouteMatch *m, const ClientFacts *f) {
        for (size_t i = 0; i < m->n_sources; i++)
                if (address_range_contains(&m->sources[i], f->source))
                        return true;

        return m->n_sources == 0;
}

static bool match_takes_tls(const RouteMatch *m, const ClientFacts *f) {
        return m->tls == TLS_MATCH_ANY || (m->tls == TLS_MATCH_YES) == f->is_tls;
}

/* True if the head of a request can begin with these bytes. */
static bool match_begins_request(Slice prefix) {
        HttpFacts http;
        ProbeVerdict v = probe_http1(prefix.p, prefix.n, SIZE_MAX, &http);

        return v == PROBE_MATCH || v == PROBE_NEED_MORE;
}

bool match_takes_bytes(const BytesMatch *bytes, const ClientFacts *f) {
        Slice prefix = { bytes->p, bytes->n };

        return f->is_any_request ? match_begins_request(prefix) : slice_has_prefix(f->head, prefix);
}

static bool match_takes_prefix(const RouteMatch *m, const ClientFacts *f) {
        for (size_t i = 0; i < m->n_prefixes; i++)
                if (match_takes_bytes(&m->prefixes[i], f))
                        return true;

        return m->n_prefixes == 0;
}

static bool match_takes_name(const RouteMatch *m, const ClientFacts *f) {
        return f->name ? m->name && streq(m->name, f->name) : !m->name;
}

typedef bool (*Takes)(const RouteMatch *m, const ClientFacts *f);

static const Takes key_takes[_MATCH_KEY_MAX] = {
        [MATCH_LISTENER] = match_takes_listener,
        [MATCH_PROTOCOL] = match_takes_protocol,
        [MATCH_HOST] = match_takes_host,
        [MATCH_PATH] = match_takes_path,
        [MATCH_METHOD] = match_takes_method,
        [MATCH_HEADER] = match_takes_headers,
        [MATCH_ALPN] = match_takes_alpn,
        [MATCH_SOURCE] = match_takes_source,
        [MATCH_TLS] = match_takes_tls,
        [MATCH_PREFIX] = match_takes_prefix,
        [MATCH_NAME] = match_takes_name,
};

MatchKey match_first_miss(const RouteMatch *match, const ClientFacts *facts) {
        for (MatchKey key = MATCH_NO_MISS + 1; key < _MATCH_KEY_MAX; key++)
                if (!key_takes[key](match, facts))
                        return key;

        return MATCH_NO_MISS;
}

bool match_takes_all_but_indexed(const RouteMatch *match, const ClientFacts *facts) {
        return match_takes_listener(match, facts) && match_takes_protocol(match, facts) && match_takes_method(match, facts) &&
               match_takes_alpn(match, facts) && match_takes_source(match, facts) && match_takes_tls(match, facts) &&
               match_takes_name(match, facts);
}

bool match_needs_head(const RouteMatch *match) {
        return match->protocols || match->hosts || match->paths || match->methods || match->n_headers > 0 ||
               match->alpns || match->n_prefixes > 0;
}

bool match_takes_every_client(const RouteMatch *match) {
        return !match_needs_head(match) && match->n_sources == 0 && match->tls == TLS_MATCH_ANY && !match->name;
}

static int match_compare_strings(char **a, char **b) {
        if (!a || !b)
                return (a != NULL) - (b != NULL);

        for (; *a && *b; a++, b++) {
                int d = strcmp(*a, *b);

                if (d != 0)
                        return d;
        }

        return (*a != NULL) - (*b != NULL);
}

static int match_compare_numbers(uint64_t a, uint64_t b) {
        return (a > b) - (a < b);
}

static int match_compare_headers(const RouteMatch *a, const RouteMatch *b) {
        int d = match_compare_numbers(a->n_headers, b->n_headers);

        for (size_t i = 0; d == 0 && i < a->n_headers; i++) {
                d = strcmp(a->headers[i].name, b->headers[i].name);
                if (d == 0)
                        d = strcmp(a->headers[i].glob, b->headers[i].glob);
        }

        return d;
}

static int match_compare_sources(const RouteMatch *a, const RouteMatch *b) {
        int d = match_compare_numbers(a->n_sources, b->n_sources);

        for (size_t i = 0; d == 0 && i < a->n_sources; i++) {
                d = match_compare_numbers((uint64_t) a->sources[i].family, (uint64_t) b->sources[i].family);
                if (d == 0)
                        d = match_compare_numbers(a->sources[i].n_bits, b->sources[i].n_bits);
                if (d == 0)
                        d = memcmp(a->sources[i].address, b->sources[i].address, sizeof(a->sources[i].address));
        }

        return d;
}

static int match_compare_prefixes(const RouteMatch *a, const RouteMatch *b) {
        int d = match_compare_numbers(a->n_prefixes, b->n_prefixes);

        for (size_t i = 0; d == 0 && i < a->n_prefixes; i++) {
                d = match_compare_numbers(a->prefixes[i].n, b->prefixes[i].n);
                if (d == 0)
                        d = memcmp(a->prefixes[i].p, b->prefixes[i].p, a->prefixes[i].n);
        }

        return d;
}

static int match_compare_names(const RouteMatch *a, const RouteMatch *b) {
        return strcmp(a->name ?: "", b->name ?: "");
}

int match_compare(const RouteMatch *a, const RouteMatch *b) {
        int d = a->priority > b->priority ? -1 : a->priority < b->priority;

        if (d == 0)
                d = match_compare_strings(a->hosts, b->hosts);
        if (d == 0)
                d = match_compare_strings(a->paths, b->paths);
        if (d == 0)
                d = match_compare_headers(a, b);
        if (d == 0)
                d = match_compare_strings(a->methods, b->methods);
        if (d == 0)
                d = match_compare_strings(a->alpns, b->alpns);
        if (d == 0)
                d = match_compare_numbers(a->protocols, b->protocols);
        if (d == 0)
                d = match_compare_sources(a, b);
        if (d == 0)
                d = match_compare_prefixes(a, b);
        if (d == 0)
                d = match_compare_strings(a->listeners, b->listeners);
        if (d == 0)
                d = match_compare_numbers(a->tls, b->tls);
        if (d == 0)
                d = match_compare_numbers(a->allows_other_host, b->allows_other_host);
        if (d == 0)
                d = match_compare_names(a, b);

        return d;
}
