/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Warnings for `fdpassctl verify` about units that are valid but probably not as intended. */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/config-parse.h"
#include "config/config.h"
#include "config/lint-service.h"

/* Default of SocketMode= (systemd.socket(5)). */
#define MODE_DEFAULT 0666

/* Reports a line once, because the instances of a template share it. */
static void lint_warn(Reporter *reporter, const Unit *unit, Assignment *a, const char *format, ...) _printf_(4, 5);
static void lint_warn(Reporter *reporter, const Unit *unit, Assignment *a, const char *format, ...) {
        char message[384];
        va_list ap;

        if (a->is_reported)
                return;

        va_start(ap, format);
        (void) vsnprintf(message, sizeof(message), format, ap);
        va_end(ap);

        reporter_say(reporter, CONFIG_WARNING, unit->id, a->path, a->line, "%s", message);
        a->is_reported = true;
}

/* Returns the assignment that is in effect, NULL if there is none or it is empty. */
static Assignment *lint_in_effect(const Unit *unit, const char *section, const char *key) {
        Assignment *a = config_last(unit, section, key);

        return a && *a->value ? a : NULL;
}

/* Returns the line that creates the worker's socket. Findings about the socket name this line. */
static Assignment *lint_listen_line(const Unit *unit) {
        static const char *const keys[] = { "ListenStream", "ListenSequentialPacket" };
        Assignment *a = NULL;

        for (size_t i = 0; !a && i < ELEMENTSOF(keys); i++)
                a = lint_in_effect(unit, SECTION_SOCKET, keys[i]);

        return a;
}

/* Warns unless the broker may connect to the worker's socket, and other users may not. */
static void lint_check_mode(Reporter *reporter, const Unit *unit, Assignment *listen) {
        Assignment *a = lint_in_effect(unit, SECTION_SOCKET, "SocketMode");
        unsigned long mode = MODE_DEFAULT;
        char *end;

        if (a) {
                mode = strtoul(a->value, &end, 8);
                if (*end)
                        return; /* systemd reports a wrong mode */
        }

        if (mode & 0002)
                lint_warn(reporter, unit, a ?: listen,
                          "Every user may connect to the worker's socket and pass clients to it; set "
                          "SocketUser=fdpass and SocketMode=0600, so that only the broker may.");
        else if (!lint_in_effect(unit, SECTION_SOCKET, "SocketUser") &&
                 !lint_in_effect(unit, SECTION_SOCKET, "SocketGroup"))
                lint_warn(reporter, unit, a ?: listen,
                          "The broker may not connect to the worker's socket, because it belongs to root; set "
                          "SocketUser=fdpass.");
}

/* "Header=Upgrade:" looks as if it matched any value. */
static void lint_check_header(Reporter *reporter, const Unit *unit, Assignment *a) {
        const char *colon = strchr(a->value, ':');

        if (colon && !colon[1])
                lint_warn(reporter, unit, a,
                          "Header=%.80s matches only a field with an empty value; write \"*\" after it for any value.",
                          a->value);
}

/* Methods are case-sensitive (RFC 9110 9.1), and the probe refuses one that is not in upper case. */
static void lint_check_method(Reporter *reporter, const Unit *unit, Assignment *a) {
        for (const char *p = a->value; *p; p++)
                if (*p >= 'a' && *p <= 'z') {
                        lint_warn(reporter, unit, a,
                                  "Method=%.80s never matches; write it in upper case, because others are refused.",
                                  a->value);
                        return;
                }
}

static void lint_route(Reporter *reporter, const Unit *unit) {
        Assignment *listen = lint_listen_line(unit);

        /* With Worker= another unit creates the socket. */
        if (listen && streq(unit->name.type, "socket") && !lint_in_effect(unit, SECTION_FDPASS, "Worker"))
                lint_check_mode(reporter, unit, listen);

        for (size_t i = 0; i < unit->n_assignments; i++) {
                Assignment *a = unit->assignments[i];

                if (a->section != SECTION_FDPASS)
                        continue;
                if (streq(a->key, "Header"))
                        lint_check_header(reporter, unit, a);
                else if (streq(a->key, "Method"))
                        lint_check_method(reporter, unit, a);
        }
}

static int lint_compare_workers(const void *a, const void *b) {
        const RouteConfig *x = *(const RouteConfig *const *) a, *y = *(const RouteConfig *const *) b;
        int r = strcmp(x->worker, y->worker);

        return r != 0 ? r : strcmp(x->unit, y->unit);
}

/* Checks one unit. @before is the previous route in the order of the workers' paths; NULL: this is the first. */
static int lint_unit(const UnitPath *path, Reporter *reporter, const RouteConfig *route, const RouteConfig *before) {
        _cleanup_(unit_freep) Unit *unit = NULL;
        Assignment *listen;
        int r;

        r = unit_load(path, route->unit, &unit);
        if (r != 0)
                return r < 0 ? r : 0; /* it was removed since config_load() */

        lint_route(reporter, unit);

        /* systemd starts only the first of two sockets with one path. */
        listen = lint_listen_line(unit);
        if (listen && before && !before->transport_is_open && !route->transport_is_open && streq(before->worker, route->worker))
                lint_warn(reporter, unit, listen, "%s listens on %s too, but only one of them can be started.",
                          before->unit, route->worker);

        if (!route->lint_sandbox || !streq(unit->name.type, "socket") || lint_in_effect(unit, SECTION_FDPASS, "Worker"))
                return 0;

        return lint_service(path, reporter, unit);
}

int config_lint(int root_fd, const Config *config, ConfigReport report, void *userdata) {
        _cleanup_free_ const RouteConfig **routes = calloc(MAX(config->n_routes, (size_t) 1), sizeof(*routes));
        _cleanup_(unit_path_freep) UnitPath *path = NULL;
        Reporter silent = {}, reporter = { .report = report, .userdata = userdata };
        int r;

        if (!routes)
                return -ENOMEM;

        /* config_load() has reported files that can't be read. */
        r = unit_path_new(root_fd, &silent, &path);
        if (r < 0)
                return r;

        for (size_t i = 0; i < config->n_routes; i++)
                routes[i] = &config->routes[i];
        qsort(routes, config->n_routes, sizeof(*routes), lint_compare_workers);

        for (size_t i = 0; r >= 0 && i < config->n_routes; i++)
                r = lint_unit(path, &reporter, routes[i], i > 0 ? routes[i - 1] : NULL);

        return r;
}
