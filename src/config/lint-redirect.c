/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Flusher=redirect: addresses that lead back to the route, and lines that have no effect. */

#include "config/lint-checks.h"
#include "config/redirect-config.h"

/* Clients come to the address by http or https. Without Listener= the route takes them at each port. */
static bool lint_redirect_is_endless(const RouteConfig *route) {
        bool is_https = startswith(route->flusher_argument, "https:");

        return !route->match.listeners && !route->match.name && route->match.tls != (is_https ? TLS_MATCH_NO : TLS_MATCH_YES) &&
               redirect_config_leads_back(route);
}

void lint_redirect(const Lint *l, const Unit *unit, const RouteConfig *route) {
        Assignment *to = lint_in_effect(unit, SECTION_FDPASS, "RedirectTo"),
                   *worker = lint_in_effect(unit, SECTION_FDPASS, "Worker") ?: lint_listen_line(unit);

        if (to && lint_redirect_is_endless(route))
                lint_warn(l, unit, to, "A client that goes to this address gets to this route again, and is redirected "
                          "without end; name another address, or narrow the route with Listener= or TLS=.");
        if (worker)
                lint_warn(l, unit, worker, "%s= has no effect beside Flusher=redirect, because the broker answers all "
                          "clients of this route itself; remove one of the two lines.", worker->key);
}
