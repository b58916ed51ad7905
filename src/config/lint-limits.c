/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>

#include "basic/parse.h"
#include "config/lint-checks.h"

/* The unit that has the keys of the broker. */
#define SERVICE "fdpass.service"

/* Size of the text of a time. */
#define SPAN_SIZE 32

/* The same as decide_silent(): the route says so, or it names the listener and no key of it asks for bytes. */
static bool lint_limits_takes_silent(const RouteMatch *m) {
        bool needs_bytes = m->hosts || m->paths || m->methods || m->n_headers > 0 || m->alpns || m->n_prefixes > 0;

        return m->protocols & PROTOCOL_SILENT || (m->listeners && !m->protocols && !needs_bytes);
}

/* True if a silent client of this listener may have a route. */
static bool lint_limits_has_silent(const Lint *l, const LintListener *listener) {
        for (size_t i = 0; i < l->config->n_routes; i++) {
                const RouteConfig *route = &l->config->routes[i];

                if (lint_limits_takes_silent(&route->match) && lint_is_for_listener(route, listener))
                        return true;
        }

        return false;
}

/* Writes a time in seconds. Returns @ret. */
static const char *lint_limits_format(usec_t v, char ret[static SPAN_SIZE]) {
        if (v == USEC_INFINITY)
                (void) snprintf(ret, SPAN_SIZE, "infinity");
        else
                (void) snprintf(ret, SPAN_SIZE, "%.4g s", (double) v / USEC_PER_SEC);
        return ret;
}

static void lint_limits_check_times(const Lint *l, const Unit *unit, const LintListener *listener) {
        const ListenerConfig *c = listener->config;
        Assignment *head = lint_in_effect(unit, SECTION_FDPASS, "HeadTimeoutSec"),
                   *silent = lint_in_effect(unit, SECTION_FDPASS, "SilentTimeoutSec"), *a = silent ?: head;
        char span[2][SPAN_SIZE];

        if (head && c->head_timeout_usec == 0) {
                lint_warn(l, unit, head, "HeadTimeoutSec=0 gives clients no time, so they are refused before their "
                          "first bytes are here; write a time such as 5s.");
                return;
        }

        if (silent && c->silent_timeout_usec == 0)
                lint_warn(l, unit, silent, "SilentTimeoutSec=0 takes every client for silent whose first bytes come "
                          "after it; write a time such as 2s.");
        else if (a && c->silent_timeout_usec >= c->head_timeout_usec && (silent || lint_limits_has_silent(l, listener)))
                lint_warn(l, unit, a, "SilentTimeoutSec= (%s) is not below HeadTimeoutSec= (%s), so a client that says "
                          "nothing is refused before it counts as silent, and no Protocol=silent route gets it. Lower "
                          "the first, or raise the second.", lint_limits_format(c->silent_timeout_usec, span[0]),
                          lint_limits_format(c->head_timeout_usec, span[1]));
}

static int lint_limits_listener(const Lint *l, const LintListener *listener) {
        _cleanup_(unit_freep) Unit *unit = NULL;
        Assignment *a;
        int r;

        r = unit_load(l->path, listener->config->unit, &unit);
        if (r != 0)
                return r < 0 ? r : 0;

        lint_limits_check_times(l, unit, listener);
        lint_proxies(l, unit, listener);

        a = lint_in_effect(unit, SECTION_SOCKET, "ListenStream");
        if (a)
                lint_trigger(l, unit, a, /* is_public= */ true);

        a = lint_in_effect(unit, SECTION_FDPASS, "MaxClientsPerSource");
        if (a && l->config->broker.max_clients > 0 &&
            listener->config->max_clients_per_source > l->config->broker.max_clients)
                lint_warn(l, unit, a, "MaxClientsPerSource=%u is never reached, because MaxClients=%u of " SERVICE " "
                          "" SERVICE " is the "
                          "limit of all clients; one address can use up all places. Write a smaller number.",
                          listener->config->max_clients_per_source, l->config->broker.max_clients);

        return 0;
}

static int lint_limits_broker(const Lint *l) {
        const BrokerConfig *b = &l->config->broker;
        _cleanup_(unit_freep) Unit *unit = NULL;
        Assignment *a;
        int r;

        r = unit_load(l->path, SERVICE, &unit);
        if (r != 0)
                return r < 0 ? r : 0;

        a = lint_in_effect(unit, SECTION_FDPASS, "ParkTimeoutSec");
        if (a && b->park_timeout_usec == 0)
                lint_warn(l, unit, a, "ParkTimeoutSec=0 closes each client that a worker hands back for its next "
                          "request; write a time such as 60s.");

        return 0;
}

int lint_limits(const Lint *l) {
        int r;

        r = lint_limits_broker(l);
        for (size_t i = 0; r >= 0 && i < l->n_listeners; i++)
                r = lint_limits_listener(l, &l->listeners[i]);

        return r;
}

void lint_route_limits(const Lint *l, const Unit *unit, const RouteConfig *route) {
        Assignment *backlog = lint_in_effect(unit, SECTION_SOCKET, "Backlog"),
                   *a = lint_in_effect(unit, SECTION_FDPASS, "MaxQueued");
        unsigned n_backlog;

        if (a && route->queue_timeout_usec == 0 && route->max_queued > 0)
                lint_warn(l, unit, a, "MaxQueued=%u has no effect, because with QueueTimeoutSec=0 no client waits; "
                          "remove one of the two lines.", route->max_queued);

        a = lint_in_effect(unit, SECTION_FDPASS, "Metadata");
        if (a && route->metadata && route->transport == TRANSPORT_STREAM && !route->transport_is_open)
                lint_warn(l, unit, a, "Metadata=%s has no effect, because ListenStream= has no room for metadata; use "
                          "ListenSequentialPacket= if the worker reads them.", a->value);

        a = lint_in_effect(unit, SECTION_FDPASS, "MaxPending");
        if (a && backlog && !route->transport_is_open && parse_unsigned(backlog->value, &n_backlog) >= 0 &&
            route->max_pending > n_backlog + 1)
                lint_warn(l, unit, a, "MaxPending=%u is never reached, because Backlog=%u of the socket has less room; "
                          "raise Backlog=, or lower MaxPending=.", route->max_pending, n_backlog);
}
