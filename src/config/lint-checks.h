/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The checks of lint_config(), one file each. They return 0 or a negative errno. @unit is the unit of @route. */

#include "config/lint.h"

/* lint-keys.c: match keys that exclude each other, so that no client can match. */
void lint_keys(const Lint *l, const Unit *unit, const RouteConfig *route);

/* Returns the protocols that a client of the route can have, as in RouteMatch.protocols. 0: there is no such client. */
unsigned lint_keys_protocols(const Lint *l, const RouteConfig *route);

/* lint-values.c, lint-source.c: values of match keys that no client has. */
void lint_values(const Lint *l, const Unit *unit, const RouteConfig *route);
void lint_source(const Lint *l, const Unit *unit, Assignment *a, const char *word);

/* lint-listener-read.c: sets Lint.listeners. */
int lint_read_listeners(Lint *l);

/* lint-listener.c: the public sockets exclude clients of the route, or let others in than its worker reads. */
void lint_listeners(const Lint *l, const Unit *unit, const RouteConfig *route);

/* Checks what the unit of a public socket says of load balancers. */
void lint_proxies(const Lint *l, const Unit *unit, const LintListener *listener);

/* lint-limits.c: times and numbers that exclude each other. */
void lint_route_limits(const Lint *l, const Unit *unit, const RouteConfig *route);
int lint_limits(const Lint *l);

/* lint-socket.c: the worker's socket. @a is the line that has its path; NULL: there is none. */
void lint_trigger(const Lint *l, const Unit *unit, Assignment *listen, bool is_public);
void lint_socket(const Lint *l, const Unit *unit, const RouteConfig *route);
void lint_worker_path(const Lint *l, const Unit *unit, const RouteConfig *route, Assignment *a);

/* lint-service.c: the service that systemd starts for the worker's socket. */
int lint_service(const Lint *l, const Unit *unit, const RouteConfig *route);

/* lint-redirect.c: Flusher=redirect. */
void lint_redirect(const Lint *l, const Unit *unit, const RouteConfig *route);

/* lint-program.c: the program of that service. */
void lint_program(const Lint *l, const Unit *service);

/* lint-sandbox.c: settings that keep a client's socket from being used to reach the network. */
void lint_sandbox(const Lint *l, const Unit *service);

/* lint-routes.c: routes and other routes. */
void lint_fallback(const Lint *l, const Unit *unit, const RouteConfig *route);
int lint_same_sockets(const Lint *l);

/* lint-covered.c: routes that get no client because of the RoutePriority= of another one. */
int lint_covered(const Lint *l);

/* lint-links.c: units that have a section but are not enabled as routes or listeners. */
int lint_links(const Lint *l);
