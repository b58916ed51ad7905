/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>

#include "basic/parse.h"
#include "config/lint-checks.h"

/* Expands a value that names a unit. Returns false if it can't be expanded or is longer than a unit's name. */
static bool lint_service_expand(const Lint *l, const Unit *unit, const Assignment *a, char ret[static UNIT_NAME_SIZE]) {
        char value[VALUE_SIZE];

        return lint_expand(l, unit, a, value) && snprintf(ret, UNIT_NAME_SIZE, "%s", value) < UNIT_NAME_SIZE;
}

/*
 * Writes the name of the service that systemd starts: that of Service=, otherwise the unit of the same name, or with
 * Accept=yes an instance of the template of that name. Returns false if there is no valid name.
 */
static bool lint_service_name(const Lint *l, const Unit *socket, char ret[static UNIT_NAME_SIZE]) {
        Assignment *service = lint_in_effect(socket, SECTION_SOCKET, "Service");
        const UnitName *u = &socket->name;
        int n;

        if (lint_is_on(socket, SECTION_SOCKET, "Accept"))
                n = snprintf(ret, UNIT_NAME_SIZE, "%.*s@0.service", (int) u->n_prefix, u->name);
        else if (service)
                return lint_service_expand(l, socket, service, ret);
        else
                n = snprintf(ret, UNIT_NAME_SIZE, "%.*s.service", (int) u->n_stem, u->name);

        return n > 0 && n < UNIT_NAME_SIZE;
}

static bool lint_service_exists(const Lint *l, const char *name) {
        char id[UNIT_NAME_SIZE];

        return unit_path_find(l->path, name, id) != NULL;
}

/* Reports that there is no template for the instances that Accept=yes starts. */
static void lint_service_report_no_template(const Lint *l, const Unit *socket) {
        Assignment *a = config_last(socket, SECTION_SOCKET, "Accept");
        const UnitName *u = &socket->name;
        char plain[UNIT_NAME_SIZE];
        int n = (int) u->n_prefix;

        (void) snprintf(plain, sizeof(plain), "%.*s.service", n, u->name);
        if (lint_service_exists(l, plain))
                lint_warn(l, socket, a, "With Accept=yes systemd starts an instance of %.*s@.service for each client, "
                          "and there is no such unit, so no client is served. Remove Accept=yes, so that %s gets all "
                          "clients, or rename it to %.*s@.service: leave Accept=yes for a program that serves one "
                          "client.", n, u->name, plain, n,
                          u->name);
        else
                lint_warn(l, socket, a, "With Accept=yes systemd starts an instance of %.*s@.service for each client, "
                          "and there is no such unit, so no client is served. Write that unit.", n, u->name);
}

static void lint_service_report_missing(const Lint *l, const Unit *socket, const char *name, bool is_masked) {
        Assignment *named = lint_in_effect(socket, SECTION_SOCKET, "Service"), *a = named ?: lint_listen_line(socket);
        char template[UNIT_NAME_SIZE + 1];

        if (lint_is_on(socket, SECTION_SOCKET, "Accept")) {
                lint_service_report_no_template(l, socket);
                return;
        }

        (void) snprintf(template, sizeof(template), "%.*s@.service", (int) socket->name.n_prefix, socket->name.name);
        if (is_masked)
                lint_warn(l, socket, a, "%s, which systemd starts for the clients, is masked, so no client is served; "
                          "see systemctl unmask.", name);
        else if (!named && lint_service_exists(l, template))
                lint_warn(l, socket, a, "systemd starts %s for the clients, and there is no such unit, so it does not "
                          "open the socket. There is %s: write Accept=yes in [Socket] to start an instance of it for "
                          "each client, or name another service by Service=.", name, template);
        else
                lint_warn(l, socket, a, "systemd starts %s for the clients, and there is no such unit, so it does not "
                          "open the socket. Write that unit, or name another one by Service=.", name);
}

/* True if an assignment is a limit of 0, which means none. */
static bool lint_service_is_zero(const Unit *unit, const char *section, const char *key) {
        Assignment *a = lint_in_effect(unit, section, key);
        usec_t v;

        return a && parse_timespan(a->value, &v) >= 0 && v == 0;
}

/* The names before systemd 230 are still read (src/core/load-fragment-gperf.gperf.in). */
static bool lint_service_has_no_start_limit(const Unit *service) {
        return lint_service_is_zero(service, SECTION_UNIT, "StartLimitIntervalSec") ||
               lint_service_is_zero(service, SECTION_UNIT, "StartLimitInterval") ||
               lint_service_is_zero(service, SECTION_SERVICE, "StartLimitInterval") ||
               lint_service_is_zero(service, SECTION_UNIT, "StartLimitBurst") ||
               lint_service_is_zero(service, SECTION_SERVICE, "StartLimitBurst");
}

/*
 * A service that fails too often fails its socket too (socket_trigger_notify() in src/core/socket.c of systemd).
 * Instances for one client each have names of their own, so the limit counts one start of each.
 */
static void lint_service_check_start_limit(const Lint *l, const Unit *service) {
        Assignment *misplaced = lint_in_effect(service, SECTION_SERVICE, "StartLimitIntervalSec"),
                   *a = lint_in_effect(service, SECTION_UNIT, "StartLimitIntervalSec");

        if (lint_service_has_no_start_limit(service))
                return;

        if (misplaced)
                lint_warn(l, service, misplaced, "systemd ignores StartLimitIntervalSec= in [Service], so a service "
                          "that fails 5 times within 10 s takes its socket down for good; move the line to [Unit].");
        else if (a)
                lint_warn(l, service, a, "With this limit systemd closes the worker's socket for good after too many "
                          "starts of the service, and clients are refused also when it works again; write "
                          "StartLimitIntervalSec=0.");
        else
                lint_warn_file(l, service, LINT_START_LIMIT, "StartLimitIntervalSec=0 is missing in [Unit]. Without it "
                               "systemd closes the worker's socket for good when the service fails 5 times within 10 "
                               "s, and clients are refused also when it works again. Add the line.");
}

/* A directory of RuntimeDirectory= goes away with the service, and the socket in it too (systemd.exec(5)). */
static void lint_service_check_directory(const Lint *l, const Unit *service, const RouteConfig *route) {
        Assignment *a = lint_in_effect(service, SECTION_SERVICE, "RuntimeDirectory"),
                   *kept = lint_in_effect(service, SECTION_SERVICE, "RuntimeDirectoryPreserve");
        const char *below = startswith(route->worker, "/run/");
        size_t n;

        if (!a || !below || (kept && !streq(kept->value, "no")))
                return;

        for (const char *word = a->value; *word; word += strcspn(word, WHITESPACE), word += strspn(word, WHITESPACE)) {
                n = strcspn(word, ":" WHITESPACE);
                if (strncmp(below, word, n) != 0 || below[n] != '/')
                        continue;
                lint_warn(l, service, a, "systemd removes /run/%.*s when the service ends, and the worker's socket %s "
                          "in it, so no client comes any more; %s, or set RuntimeDirectoryPreserve=yes.", (int) n, word,
                          route->worker, n == 6 && memcmp(word, "fdpass", n) == 0
                                                 ? "remove this line, because the directory is there without it"
                                                 : "move the socket to a path in /run/fdpass");
        }
}

static void lint_service_check(const Lint *l, const Unit *socket, const Unit *service, const RouteConfig *route) {
        if (!lint_is_on(socket, SECTION_SOCKET, "Accept"))
                lint_service_check_start_limit(l, service);
        lint_service_check_directory(l, service, route);
        if (service->has_fdpass && !lint_find_route(l, service->id))
                lint_warn_file(l, service, LINT_SECTION, "The section [X-FDPass] of this unit is ignored, so the route "
                               "of %s is without its keys; move them to that unit.", socket->id);
        if (l->sees_files)
                lint_program(l, service);
        if (route->lint_sandbox)
                lint_sandbox(l, service);
}

int lint_service(const Lint *l, const Unit *socket, const RouteConfig *route) {
        Assignment *named = lint_in_effect(socket, SECTION_SOCKET, "Service");
        _cleanup_(unit_freep) Unit *service = NULL;
        char name[UNIT_NAME_SIZE];
        int r;

        if (!lint_listen_line(socket) || !lint_service_name(l, socket, name))
                return 0;

        if (named && lint_is_on(socket, SECTION_SOCKET, "Accept"))
                lint_warn(l, socket, named, "systemd refuses a socket with Service= and Accept=yes, so no client is "
                          "served; remove one of the two lines.");

        r = unit_load(l->path, name, &service);
        if (r < 0)
                return r;
        if (r == 0)
                lint_service_check(l, socket, service, route);
        else if (!named || !named->is_reported)
                lint_service_report_missing(l, socket, name, r == UNIT_MASKED);

        return 0;
}
