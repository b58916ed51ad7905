/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <arpa/inet.h>
#include <stdio.h>

#include "config/lint-checks.h"
#include "probe/probe.h"

#define HTTP (1U << PROBE_HTTP)
#define TLS (1U << PROBE_TLS)
#define EVERY_PROTOCOL (PROTOCOL_ANY | PROTOCOL_SILENT)

/* The protocols that a key leaves to the clients of a route. */
typedef struct KeyClaim {
        const char *key;    /* without "="; NULL: end of the list */
        unsigned protocols; /* as in RouteMatch.protocols */
        const char *needs;  /* the clients that it takes, after "takes only" */
} KeyClaim;

#define CLAIMS_MAX 8

/* An address is never in SNI (RFC 6066 3). */
static bool lint_keys_has_name(const RouteMatch *m) {
        struct in_addr address;

        for (char **h = m->hosts; h && *h; h++)
                if ((*h)[0] != '[' && inet_pton(AF_INET, *h, &address) != 1)
                        return true;

        return false;
}

/* Returns the protocols that may begin with these bytes. */
static unsigned lint_keys_of_bytes(const BytesMatch *b) {
        static const struct {
                ProbeProtocol protocol;
                const char *begin;
        } signatures[] = {
                { PROBE_HTTP2, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" },
                { PROBE_TLS, "\x16\x03" },
                { PROBE_SSH, "SSH-" },
        };
        unsigned protocols = 1U << PROBE_UNKNOWN;
        HttpFacts http;

        for (size_t i = 0; i < ELEMENTSOF(signatures); i++) {
                const char *begin = signatures[i].begin;

                if (memcmp(b->p, begin, MIN(b->n, strlen(begin))) == 0)
                        protocols |= 1U << signatures[i].protocol;
        }

        /* A malformed request is none, but more bytes of the client may be a valid one. */
        if (probe_http1(b->p, b->n, b->n + 1, &http) != PROBE_NO_MATCH)
                protocols |= HTTP;

        return protocols;
}

static unsigned lint_keys_of_prefixes(const RouteMatch *m) {
        unsigned protocols = 0;

        for (size_t i = 0; i < m->n_prefixes; i++)
                protocols |= lint_keys_of_bytes(&m->prefixes[i]);

        return protocols;
}

static void lint_keys_claim(KeyClaim *claims, size_t *n, bool is_set, const char *key, unsigned protocols,
                            const char *needs) {
        if (is_set)
                claims[(*n)++] = (KeyClaim){ key, protocols, needs };
}

/* A PROXY header may tell a host and ALPN for a client of any protocol. */
static size_t lint_keys_collect(const Lint *l, const RouteConfig *route, KeyClaim claims[static CLAIMS_MAX]) {
        const RouteMatch *m = &route->match;
        bool is_told = lint_has_proxy(l, route);
        size_t n = 0;

        lint_keys_claim(claims, &n, m->protocols, "Protocol", m->protocols, NULL);
        if (!is_told)
                lint_keys_claim(claims, &n, m->hosts, "Host", lint_keys_has_name(m) ? HTTP | TLS : HTTP,
                                lint_keys_has_name(m) ? "requests of HTTP/1 and TLS clients"
                                                      : "requests of HTTP/1, because SNI of TLS has no addresses");
        if (!is_told)
                lint_keys_claim(claims, &n, m->alpns, "ALPN", TLS, "TLS clients");
        lint_keys_claim(claims, &n, m->paths, "Path", HTTP, "requests of HTTP/1 without TLS");
        lint_keys_claim(claims, &n, m->methods, "Method", HTTP, "requests of HTTP/1 without TLS");
        lint_keys_claim(claims, &n, m->n_headers > 0, "Header", HTTP, "requests of HTTP/1 without TLS");
        lint_keys_claim(claims, &n, m->n_prefixes > 0, "Prefix", lint_keys_of_prefixes(m),
                        "clients that begin with these bytes");
        return n;
}

unsigned lint_keys_protocols(const Lint *l, const RouteConfig *route) {
        KeyClaim claims[CLAIMS_MAX];
        size_t n = lint_keys_collect(l, route, claims);
        unsigned protocols = EVERY_PROTOCOL;

        for (size_t i = 0; i < n; i++)
                protocols &= claims[i].protocols;

        return protocols;
}

/* Warns about two keys that no client has at once. Returns true if it did. */
static bool lint_keys_check_pair(const Lint *l, const Unit *unit, const KeyClaim *x, const KeyClaim *y) {
        Assignment *a = config_last(unit, SECTION_FDPASS, x->key), *b = config_last(unit, SECTION_FDPASS, y->key);

        if ((x->protocols & y->protocols) != 0 || !a || !b)
                return false;

        lint_warn(l, unit, a, "%s=%.60s and %s= exclude each other, so no client can match: %s= takes only %s. Remove "
                  "one of the two lines.", x->key, a->value, y->key, y->key, y->needs);
        return true;
}

/* Warns about each word of Protocol= that the other keys exclude. */
static void lint_keys_check_words(const Lint *l, const Unit *unit, const KeyClaim *claims, size_t n) {
        static const ProbeProtocol protocols[] = { PROBE_HTTP, PROBE_HTTP2, PROBE_TLS, PROBE_SSH };

        for (size_t k = 0; k <= ELEMENTSOF(protocols); k++) {
                unsigned bit = k < ELEMENTSOF(protocols) ? 1U << protocols[k] : PROTOCOL_SILENT;
                const char *word = k < ELEMENTSOF(protocols) ? probe_protocol_to_string(protocols[k]) : "silent";
                Assignment *a = config_last(unit, SECTION_FDPASS, claims[0].key);

                if (claims[0].protocols & 1U << PROBE_UNKNOWN && bit != PROTOCOL_SILENT)
                        continue; /* the word is "any" */

                for (size_t i = 1; a && i < n; i++)
                        if (claims[0].protocols & bit && !(claims[i].protocols & bit))
                                lint_warn(l, unit, a, "Protocol=%s takes no client beside %s=, which takes only %s. "
                                          "Remove the word, or use a unit of its own for it.", word, claims[i].key,
                                          claims[i].needs);
        }
}

/* The bytes of a client that is handed back to a name are not looked at. */
static void lint_keys_check_name(const Lint *l, const Unit *unit, const KeyClaim *claims, size_t n) {
        Assignment *a = lint_in_effect(unit, SECTION_FDPASS, "InternalName");

        if (a && n > 0)
                lint_warn(l, unit, a, "InternalName= and %s= exclude each other, so no client can match: only clients "
                          "that a worker hands back come here, and their bytes are not looked at. Remove one of the "
                          "two lines.", claims[0].key);
}

void lint_keys(const Lint *l, const Unit *unit, const RouteConfig *route) {
        KeyClaim claims[CLAIMS_MAX];
        size_t n = lint_keys_collect(l, route, claims);

        if (route->match.name) {
                lint_keys_check_name(l, unit, claims, n);
                return;
        }

        for (size_t i = 0; i < n; i++)
                for (size_t k = i + 1; k < n; k++)
                        if (lint_keys_check_pair(l, unit, &claims[i], &claims[k]))
                                return;

        if (route->match.protocols)
                lint_keys_check_words(l, unit, claims, n);
}
