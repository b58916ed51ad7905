/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is no error, but hardly meant: for `fdpassctl verify`, and not for the journal each time the broker starts. */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/config-table.h"
#include "config/lint.h"

/* systemd.socket(5): what a socket has without SocketMode=. */
#define MODE_DEFAULT 0666

/* Once for each line: the instances of a template share theirs. */
static void warn(Reporter *reporter, const Unit *unit, Assignment *a, const char *format, ...) _printf_(4, 5);
static void warn(Reporter *reporter, const Unit *unit, Assignment *a, const char *format, ...) {
        char message[384];
        va_list ap;

        if (a->warned)
                return;

        va_start(ap, format);
        (void) vsnprintf(message, sizeof(message), format, ap);
        va_end(ap);

        reporter_say(reporter, CONFIG_WARNING, unit->id, a->path, a->line, "%s", message);
        a->warned = true;
}

/* The value that holds, or NULL. */
static Assignment *in_force(const Unit *unit, const char *section, const char *key) {
        Assignment *a = config_last(unit, section, key);

        return a && *a->value ? a : NULL;
}

/* The line that a finding about the worker's socket belongs to: that which makes it. */
static Assignment *listen_line(const Unit *unit) {
        static const char *const keys[] = { "ListenStream", "ListenSequentialPacket" };
        Assignment *a = NULL;

        for (size_t i = 0; !a && i < ELEMENTSOF(keys); i++)
                a = in_force(unit, SECTION_SOCKET, keys[i]);

        return a;
}

/* The broker's user has to be let in (SocketUser=), and nobody else. */
static void check_mode(Reporter *reporter, const Unit *unit, Assignment *listen) {
        Assignment *a = in_force(unit, SECTION_SOCKET, "SocketMode");
        unsigned long mode = MODE_DEFAULT;
        char *end;

        if (a) {
                mode = strtoul(a->value, &end, 8);
                if (*end)
                        return; /* systemd says that */
        }

        if (mode & 0002)
                warn(reporter, unit, a ?: listen,
                     "Everybody may connect to the worker's socket, and hand it clients; SocketUser=fdpass and "
                     "SocketMode=0600 keep it to the broker.");
        else if (!in_force(unit, SECTION_SOCKET, "SocketUser") && !in_force(unit, SECTION_SOCKET, "SocketGroup"))
                warn(reporter, unit, a ?: listen,
                     "The broker may not connect to the worker's socket: it belongs to root; SocketUser=fdpass is missing.");
}

/* "Header=Upgrade:" looks like "whatever the value is". */
static void check_header(Reporter *reporter, const Unit *unit, Assignment *a) {
        const char *colon = strchr(a->value, ':');

        if (colon && !colon[1])
                warn(reporter, unit, a, "Header=%.80s takes only a field with an empty value; any value would be \"*\".",
                     a->value);
}

/* Methods are case-sensitive (RFC 9110 9.1), and one that is not in upper case never gets past the probe. */
static void check_method(Reporter *reporter, const Unit *unit, Assignment *a) {
        for (const char *p = a->value; *p; p++)
                if (*p >= 'a' && *p <= 'z') {
                        warn(reporter, unit, a, "Method=%.80s: methods are in upper case, others are refused.", a->value);
                        return;
                }
}

static void lint_route(Reporter *reporter, const Unit *unit) {
        Assignment *listen = listen_line(unit);

        /* With Worker= the socket is somebody else's. */
        if (listen && streq(unit->name.type, "socket") && !in_force(unit, SECTION_FDPASS, "Worker"))
                check_mode(reporter, unit, listen);

        for (size_t i = 0; i < unit->n_assignments; i++) {
                Assignment *a = unit->assignments[i];

                if (a->section != SECTION_FDPASS)
                        continue;
                if (streq(a->key, "Header"))
                        check_header(reporter, unit, a);
                else if (streq(a->key, "Method"))
                        check_method(reporter, unit, a);
        }
}

static int compare_workers(const void *a, const void *b) {
        const RouteConfig *x = *(const RouteConfig *const *) a, *y = *(const RouteConfig *const *) b;
        int r = strcmp(x->worker, y->worker);

        return r != 0 ? r : strcmp(x->unit, y->unit);
}

/* @before is the route in front of this one by the path of the worker's socket, or NULL. */
static int lint_unit(const UnitPath *path, Reporter *reporter, const RouteConfig *route, const RouteConfig *before) {
        _cleanup_(unit_freep) Unit *unit = NULL;
        Assignment *listen;
        int r;

        r = unit_load(path, route->unit, &unit);
        if (r != 0)
                return r < 0 ? r : 0; /* it was there a moment ago */

        lint_route(reporter, unit);

        /* systemd starts the first of them, and the other fails. */
        listen = listen_line(unit);
        if (listen && before && !before->form_is_open && !route->form_is_open && streq(before->worker, route->worker))
                warn(reporter, unit, listen, "%s listens on %s too: only one of them can be started.", before->unit,
                     route->worker);

        if (!route->lint_sandbox || !streq(unit->name.type, "socket") || in_force(unit, SECTION_FDPASS, "Worker"))
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

        /* What keeps files from being read was said by config_load(). */
        r = unit_path_new(root_fd, &silent, &path);
        if (r < 0)
                return r;

        for (size_t i = 0; i < config->n_routes; i++)
                routes[i] = &config->routes[i];
        qsort(routes, config->n_routes, sizeof(*routes), compare_workers);

        for (size_t i = 0; i < config->n_routes; i++) {
                r = lint_unit(path, &reporter, routes[i], i > 0 ? routes[i - 1] : NULL);
                if (r < 0)
                        return r;
        }

        return 0;
}
