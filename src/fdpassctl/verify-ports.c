/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/verify-ports.h"

#include <stdio.h>

#include "fdpassctl/load-units.h"
#include "match/match.h"

/* Returns the unit of a route that has the listener to itself. There has to be one. */
static const char *verify_ports_find_owner(const Config *config, const char *listener) {
        for (size_t i = 0; i < config->n_routes; i++) {
                const RouteMatch *m = &config->routes[i].match;

                if (m->listeners && match_takes_every_client(m) && match_is_for_listener(m, listener))
                        return config->routes[i].unit;
        }

        return "another unit";
}

/*
 * Writes to @buffer why no client of any public port reaches a route. Returns false if one may reach it, or if the
 * route names no public port.
 */
static bool verify_ports_is_lost(const Config *config, const MatchIndex *index, const RouteMatch *match,
                                 char buffer[static 512]) {
        bool is_lost = false;

        for (size_t i = 0; i < config->n_listeners; i++) {
                const ListenerConfig *l = &config->listeners[i];

                if (!match_is_for_listener(match, l->name))
                        continue;

                if (!match_index_reaches(index, match, l->name))
                        (void) snprintf(buffer, 512, "No client of a public port reaches this route: %.255s says Listener=%.80s "
                                        "and no other key, so it has the port to itself. Name the port here, or set "
                                        "RoutePriority=-1 there.", verify_ports_find_owner(config, l->name), l->name);
                else if (l->is_unread && match_needs_head(match))
                        (void) snprintf(buffer, 512, "No client of a public port reaches this route: its keys need the client's "
                                        "first bytes, and %.255s says Inspect=no.", l->unit);
                else
                        return false;

                is_lost = true;
        }

        return is_lost;
}

int verify_ports(const Config *config) {
        _cleanup_(match_index_freep) MatchIndex *index = NULL;
        char why[512];
        int r;

        r = load_make_index(config, &index);
        if (r < 0)
                return r;

        for (size_t i = 0; i < config->n_routes; i++) {
                const RouteConfig *route = &config->routes[i];
                const RouteMatch *m = &route->match;

                /* A route with a name gets clients from workers. One with a negative priority is meant to get few. */
                if (!m->name && m->priority >= 0 && verify_ports_is_lost(config, index, m, why))
                        load_warn(route, "Listener", m->listeners ? m->listeners[0] : "", why);
        }

        return 0;
}
