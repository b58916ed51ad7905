/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <arpa/inet.h>
#include <limits.h>
#include <stdio.h>

#include "basic/array.h"
#include "basic/parse.h"
#include "config/address-config.h"
#include "config/lint-checks.h"
#include "config/spelling.h"
#include "probe/probe.h"

#define HTTP (1U << PROBE_HTTP)
#define TLS (1U << PROBE_TLS)

static const char *lint_listener_port(const char *address) {
        const char *colon = strrchr(address, ':');

        return colon ? colon + 1 : address;
}

/* Ports that TLS clients use: 443, and those that servers use where they may not have that one. */
static bool lint_listener_is_tls_port(const char *port) {
        return streq(port, "443") || streq(port, "4443") || streq(port, "8443") || streq(port, "9443");
}

/* Adds what one ListenStream= line says (systemd.socket(5)). */
static void lint_listener_add_address(LintListener *listener, const Unit *unit, const char *address) {
        Assignment *only = lint_in_effect(unit, SECTION_SOCKET, "BindIPv6Only");
        bool is_dual = !only || !streq(only->value, "ipv6-only");
        unsigned port;

        if (lint_listener_is_tls_port(lint_listener_port(address)))
                listener->tls = listener->config->unit;

        if (address[0] == '/' || address[0] == '@')
                return;

        if (address[0] == '[') {
                listener->takes[1] = true;
                listener->takes[0] = listener->takes[0] || (is_dual && startswith(address, "[::]"));
        } else if (parse_unsigned(address, &port) >= 0) {
                listener->takes[1] = true;
                listener->takes[0] = listener->takes[0] || is_dual;
        } else if (address[0] >= '0' && address[0] <= '9')
                listener->takes[0] = true;
        else
                listener->takes[0] = listener->takes[1] = true; /* an interface or another family */
}

static int lint_listener_add_range(AddressRange **items, size_t *n_items, const char *word) {
        AddressRange range;

        if (!config_parse_range(word, &range))
                return 0;

        if (!ARRAY_GROW(*items, *n_items))
                return -ENOMEM;

        (*items)[(*n_items)++] = range;
        return 0;
}

/* Reads a list of addresses. Words have the meaning of systemd.resource-control(5), IPAddressAllow=. */
static int lint_listener_read_ranges(const Unit *unit, const char *key, AddressRange **items, size_t *n_items) {
        static const struct {
                const char *word, *range;
        } names[] = {
                { "any", "0.0.0.0/0" }, { "any", "::/0" }, { "localhost", "127.0.0.0/8" }, { "localhost", "::1" },
                { "link-local", "169.254.0.0/16" }, { "link-local", "fe80::/64" },
        };
        Assignment *a;
        size_t i = 0;
        int r = 0;

        while (r >= 0 && (a = lint_next(unit, SECTION_SOCKET, key, &i))) {
                char value[VALUE_SIZE], *rest = value, *word;

                (void) snprintf(value, sizeof(value), "%s", a->value);
                while (r >= 0 && (word = strtok_r(NULL, WHITESPACE, &rest))) {
                        r = lint_listener_add_range(items, n_items, word);
                        for (size_t k = 0; r >= 0 && k < ELEMENTSOF(names); k++)
                                if (streq(word, names[k].word))
                                        r = lint_listener_add_range(items, n_items, names[k].range);
                }
        }

        return r;
}

static int lint_listener_read(Lint *l, const ListenerConfig *config, LintListener *ret) {
        _cleanup_(unit_freep) Unit *unit = NULL;
        char address[VALUE_SIZE];
        Assignment *a;
        size_t i = 0;
        int r;

        *ret = (LintListener){
                .config = config,
                .tls = lint_listener_is_tls_port(config->name) ? config->unit : NULL,
        };

        r = unit_load(l->path, config->unit, &unit);
        if (r != 0)
                return r < 0 ? r : 0;

        while ((a = lint_next(unit, SECTION_SOCKET, "ListenStream", &i)))
                if (lint_expand(l, unit, a, address))
                        lint_listener_add_address(ret, unit, address);
        if (!lint_in_effect(unit, SECTION_SOCKET, "ListenStream"))
                ret->takes[0] = ret->takes[1] = true; /* another kind of listener */

        r = lint_listener_read_ranges(unit, "IPAddressAllow", &ret->allowed, &ret->n_allowed);
        if (r >= 0)
                r = lint_listener_read_ranges(unit, "IPAddressDeny", &ret->denied, &ret->n_denied);

        return r;
}

static bool lint_listener_route_is_tls(const RouteMatch *m) {
        return m->protocols == TLS || (m->alpns && !m->protocols);
}

/* A route for TLS alone shows that TLS clients come to its listeners. */
static void lint_listener_add_route(Lint *l, const RouteConfig *route) {
        if (!lint_listener_route_is_tls(&route->match))
                return;

        for (size_t i = 0; i < l->n_listeners; i++)
                if (!l->listeners[i].tls && lint_is_for_listener(route, &l->listeners[i]))
                        l->listeners[i].tls = route->unit;
}

int lint_read_listeners(Lint *l) {
        const Config *c = l->config;
        int r = 0;

        l->listeners = calloc(MAX(c->n_listeners, (size_t) 1), sizeof(*l->listeners));
        if (!l->listeners)
                return -ENOMEM;

        for (size_t i = 0; r >= 0 && i < c->n_listeners; i++)
                r = lint_listener_read(l, &c->listeners[i], &l->listeners[l->n_listeners++]);
        for (size_t i = 0; r >= 0 && i < c->n_routes; i++)
                lint_listener_add_route(l, &c->routes[i]);

        return r;
}

static bool lint_listener_overlap(const AddressRange *a, const AddressRange *b, unsigned n_bits) {
        unsigned whole = n_bits / 8, rest = n_bits % 8;

        return a->family == b->family && memcmp(a->address, b->address, whole) == 0 &&
               (rest == 0 || (a->address[whole] ^ b->address[whole]) >> (8 - rest) == 0);
}

/* Returns why no client of @range comes to the listener. NULL: some may come. */
static const char *lint_listener_excludes(const LintListener *listener, const AddressRange *range) {
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
