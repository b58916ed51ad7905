/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Facts about the public sockets, from their sections [Socket]. */

#include <stdio.h>

#include "basic/array.h"
#include "basic/parse.h"
#include "config/address-config.h"
#include "config/lint-checks.h"
#include "probe/probe.h"

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
