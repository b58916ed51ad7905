/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>
#include <sys/socket.h>

#include "config/lint-checks.h"
#include "config/spelling.h"
#include "probe/probe.h"

#define HTTP (1U << PROBE_HTTP)
#define TLS (1U << PROBE_TLS)

static bool lint_listener_overlap(const AddressRange *a, const AddressRange *b, unsigned n_bits) {
        unsigned whole = n_bits / 8, rest = n_bits % 8;

        return a->family == b->family && memcmp(a->address, b->address, whole) == 0 &&
               (rest == 0 || (a->address[whole] ^ b->address[whole]) >> (8 - rest) == 0);
}

static bool lint_listener_is_ip(const AddressRange *range) {
        return range->family == AF_INET || range->family == AF_INET6;
}

/* Returns why no client of @range comes to the listener. NULL: some may come. */
static const char *lint_listener_excludes(const LintListener *listener, const AddressRange *range) {
        if (!lint_listener_is_ip(range))
                return NULL;

        if (!listener->takes[range->family == AF_INET6])
                return "ListenStream=";

        for (size_t i = 0; i < listener->n_allowed; i++)
                if (lint_listener_overlap(&listener->allowed[i], range,
                                          MIN(listener->allowed[i].n_bits, range->n_bits)))
                        return NULL;

        for (size_t i = 0; i < listener->n_denied; i++)
                if (listener->denied[i].n_bits <= range->n_bits &&
                    lint_listener_overlap(&listener->denied[i], range, listener->denied[i].n_bits))
                        return "IPAddressDeny=";

        return NULL;
}

/* Returns why no load balancer of TrustedProxies= can connect. NULL: some can. */
static const char *lint_listener_excludes_proxies(const LintListener *listener) {
        const char *why = NULL;

        for (size_t i = 0; i < listener->config->n_trusted_proxies; i++) {
                why = lint_listener_excludes(listener, &listener->config->trusted_proxies[i]);
                if (!why)
                        return NULL;
        }

        return why;
}

void lint_proxies(const Lint *l, const Unit *unit, const LintListener *listener) {
        const ListenerConfig *c = listener->config;
        Assignment *a = lint_in_effect(unit, SECTION_FDPASS, "TrustedProxies");
        const char *why;

        if (!a)
                return;

        if (c->proxy_protocol == PROXY_PROTOCOL_NO) {
                lint_warn(l, unit, a, "TrustedProxies= has no effect without ProxyProtocol=, so the address of every "
                          "client is that of the load balancer; add ProxyProtocol=require.");
                return;
        }

        for (size_t i = 0; i < c->n_trusted_proxies; i++)
                if (c->trusted_proxies[i].n_bits == 0 && lint_listener_is_ip(&c->trusted_proxies[i]))
                        lint_warn(l, unit, a, "TrustedProxies=%.60s lets every client claim any address by a PROXY "
                                  "header; write the addresses of the load balancers.", a->value);

        why = c->n_trusted_proxies > 0 ? lint_listener_excludes_proxies(listener) : NULL;
        if (why)
                lint_warn(l, unit, a, "No load balancer of TrustedProxies=%.60s can connect, because %s of this unit "
                          "lets none from there in. Change one of the two lines.", a->value, why);
}

/* Warns if no listener of the route has clients of any of these addresses. A PROXY header may tell any address. */
static void lint_listener_check_sources(const Lint *l, const Unit *unit, const RouteConfig *route) {
        const LintListener *last = NULL;
        const char *why = NULL;
        Assignment *a = config_last(unit, SECTION_FDPASS, "Source");

        for (size_t i = 0; i < l->n_listeners; i++)
                for (size_t k = 0; k < route->match.n_sources && lint_is_for_listener(route, &l->listeners[i]); k++) {
                        last = &l->listeners[i];
                        why = lint_listener_excludes(last, &route->match.sources[k]);
                        if (!why)
                                return;
                }

        if (a && why)
                lint_warn(l, unit, a, "Source=%.60s matches no client, because %s in %s lets none from there in. "
                          "Change one of the two lines.", a->value, why, last->config->unit);
}

/* Warns about first bytes that are longer than what is read. */
static void lint_listener_check_prefixes(const Lint *l, const Unit *unit, const RouteConfig *route) {
        Assignment *a = config_last(unit, SECTION_FDPASS, "Prefix");
        unsigned max = 0;

        for (size_t i = 0; i < l->n_listeners; i++)
                if (lint_is_for_listener(route, &l->listeners[i]))
                        max = MAX(max, l->listeners[i].config->max_head_size);

        for (size_t i = 0; a && max > 0 && i < route->match.n_prefixes; i++)
                if (route->match.prefixes[i].n > max)
                        lint_warn(l, unit, a, "Prefix= has %zu bytes and never matches, because MaxHeadSize= of the "
                                  "public socket lets %u bytes be read. Write fewer bytes, or raise MaxHeadSize=.",
                                  route->match.prefixes[i].n, max);
}

/* Returns the listener whose name is meant by the word: its unit, its unit without the type, or another spelling. */
static const LintListener *lint_listener_find_similar(const Lint *l, const char *word) {
        for (size_t i = 0; i < l->n_listeners; i++) {
                const ListenerConfig *c = l->listeners[i].config;
                const char *rest = startswith(c->unit, word);

                if ((rest && (!*rest || streq(rest, ".socket"))) || spelling_distance(c->name, word) <= 1)
                        return &l->listeners[i];
        }

        return NULL;
}

/* The broker itself compares the names with the sockets that it has. */
static void lint_listener_check_name(const Lint *l, const Unit *unit, Assignment *a, const char *word) {
        const LintListener *similar = lint_listener_find_similar(l, word);
        char names[128] = "";
        size_t n = 0;

        for (size_t i = 0; i < l->n_listeners; i++)
                if (streq(l->listeners[i].config->name, word))
                        return;

        for (size_t i = 0; i < l->n_listeners && n < sizeof(names); i++)
                n += (size_t) snprintf(names + n, sizeof(names) - n, "%s\"%s\"", i > 0 ? ", " : "",
                                       l->listeners[i].config->name);

        if (similar)
                lint_warn(l, unit, a, "Listener=%.60s matches no client, because no public socket has this name; did "
                          "you mean \"%s\"?", word, similar->config->name);
        else
                lint_warn(l, unit, a, "Listener=%.60s matches no client, because no enabled public socket has this "
                          "name (FileDescriptorName=). Enable its socket, or use one of these names: %s.", word,
                          n > 0 ? names : "there is none");
}

/* Returns the unit because of which TLS clients come to the route. NULL: none is known. */
static const char *lint_listener_find_tls(const Lint *l, const RouteConfig *route) {
        for (size_t i = 0; i < l->n_listeners; i++)
                if (l->listeners[i].tls && lint_is_for_listener(route, &l->listeners[i]))
                        return l->listeners[i].tls;

        return NULL;
}

/* Host= alone takes TLS clients by SNI too, and most workers speak only one of the two. */
static void lint_listener_check_tls(const Lint *l, const Unit *unit, const RouteConfig *route) {
        Assignment *a = config_last(unit, SECTION_FDPASS, "Host");
        unsigned protocols = lint_keys_protocols(l, route);
        const char *why;

        if (!a || !route->match.hosts || route->match.protocols || route->match.name || route->flusher ||
            !(protocols & HTTP) || !(protocols & TLS))
                return;

        why = lint_listener_find_tls(l, route);
        if (why)
                lint_warn(l, unit, a, "TLS clients come in, because of %s, and Host=%.60s takes these by SNI as well "
                          "as plain requests. A server that speaks only one of the two can't read the other: add "
                          "Protocol=http or Protocol=tls.", why, a->value);
}

void lint_listeners(const Lint *l, const Unit *unit, const RouteConfig *route) {
        if (l->sees_files && route->match.listeners)
                lint_words(l, unit, "Listener", lint_listener_check_name);
        if (route->match.n_sources > 0 && !lint_has_proxy(l, route))
                lint_listener_check_sources(l, unit, route);
        if (route->match.n_prefixes > 0)
                lint_listener_check_prefixes(l, unit, route);
        lint_listener_check_tls(l, unit, route);
}
