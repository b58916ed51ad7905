/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdlib.h>

#include "basic/parse.h"
#include "config/lint-checks.h"

/* Default of SocketMode= (systemd.socket(5)). */
#define MODE_DEFAULT 0666

/* User and group that the broker runs as. */
#define BROKER "fdpass"

/* A limit is off if its interval or its number is 0 (ratelimit_below() in src/basic/ratelimit.c of systemd). */
static bool lint_socket_is_zero(const Unit *unit, const char *key) {
        Assignment *a = lint_in_effect(unit, SECTION_SOCKET, key);
        usec_t v;

        return a && parse_timespan(a->value, &v) >= 0 && v == 0;
}

/*
 * systemd closes a socket whose service was started too often (systemd.socket(5), TriggerLimitIntervalSec=). A service
 * that ends without taking its clients is started again at once.
 */
void lint_trigger(const Lint *l, const Unit *unit, Assignment *listen, bool is_public) {
        Assignment *a = lint_in_effect(unit, SECTION_SOCKET, "TriggerLimitIntervalSec");

        if (lint_socket_is_zero(unit, "TriggerLimitIntervalSec") || lint_socket_is_zero(unit, "TriggerLimitBurst"))
                return;

        if (a)
                lint_warn(l, unit, a, "With this limit systemd closes the socket for good after too many starts of the "
                          "service, and its clients are refused also when the service works again; write "
                          "TriggerLimitIntervalSec=0.");
        else if (is_public)
                lint_warn(l, unit, listen, "TriggerLimitIntervalSec=0 is missing in [Socket]. Without it systemd "
                          "closes this public port for good when the broker ends 20 times within 2 s. Add the line.");
        else if (lint_is_on(unit, SECTION_SOCKET, "Accept"))
                lint_warn(l, unit, listen, "TriggerLimitIntervalSec=0 is missing in [Socket]. Without it systemd "
                          "closes the socket for good when 200 clients come within 2 s. Add the line.");
        else
                lint_warn(l, unit, listen, "TriggerLimitIntervalSec=0 is missing in [Socket]. Without it systemd "
                          "closes the socket for good when the service fails 20 times within 2 s, also if it works "
                          "later. Add the line.");
}

/* True if SocketUser= names the broker's user, or may do so: a number, or a specifier. */
static bool lint_socket_is_broker(const Assignment *user) {
        return user && (streq(user->value, BROKER) || strchr(user->value, '%') ||
                        strspn(user->value, "0123456789") == strlen(user->value));
}

/* True if the unit's text leaves the socket to a group that the broker may belong to. */
static bool lint_socket_may_be_of_group(const Unit *unit, unsigned long mode) {
        return mode & 0020 && (lint_in_effect(unit, SECTION_SOCKET, "SocketUser") ||
                               lint_in_effect(unit, SECTION_SOCKET, "SocketGroup"));
}

/* Warns unless the broker may connect to the worker's socket, and other users may not. */
static void lint_socket_check_mode(const Lint *l, const Unit *unit, Assignment *listen) {
        Assignment *a = lint_in_effect(unit, SECTION_SOCKET, "SocketMode"),
                   *user = lint_in_effect(unit, SECTION_SOCKET, "SocketUser");
        unsigned long mode = MODE_DEFAULT;
        char *end;

        if (a) {
                mode = strtoul(a->value, &end, 8);
                if (*end)
                        return; /* systemd reports a wrong mode */
        }

        if (mode & 0002)
                lint_warn(l, unit, a ?: listen,
                          "Every user may connect to the worker's socket and pass clients to it; set "
                          "SocketUser=fdpass and SocketMode=0600, so that only the broker may.");
        else if (lint_socket_is_broker(user) && !(mode & 0200))
                lint_warn(l, unit, a ?: listen, "The broker may not connect to the worker's socket, because "
                          "SocketMode= gives its owner no right to write; set SocketMode=0600.");
        else if (!lint_socket_is_broker(user) && !lint_socket_may_be_of_group(unit, mode))
                lint_warn(l, unit, a ?: listen,
                          "The broker may not connect to the worker's socket, because it belongs to %.60s%s; set "
                          "SocketUser=fdpass and SocketMode=0600.", user ? user->value : "root",
                          mode & 0020 ? "" : ", and SocketMode= gives others no right to write");
}

static void lint_socket_check_accept(const Lint *l, const Unit *unit) {
        bool accepts = lint_is_on(unit, SECTION_SOCKET, "Accept");
        Assignment *all = lint_in_effect(unit, SECTION_SOCKET, "MaxConnections"),
                   *one = lint_in_effect(unit, SECTION_SOCKET, "MaxConnectionsPerSource");

        if (!accepts && (all || one))
                lint_warn(l, unit, all ?: one, "%s= has no effect without Accept=yes, because systemd counts no "
                          "connections then; remove it.", (all ?: one)->key);
        else if (one && !streq(one->value, "0"))
                lint_warn(l, unit, one, "MaxConnectionsPerSource=%.20s does not count clients: from systemd 257 on it "
                          "counts the broker, which makes all connections here, so further clients of any address get "
                          "no worker. Remove it; MaxClientsPerSource= of the public socket counts clients of one "
                          "address in the broker.",
                          one->value);
}

/* The sockets of the broker get no client. */
static bool lint_socket_is_of_broker(const char *path) {
        static const char *const names[] = { "return.sock", "control" };
        const char *name = startswith(path, "/run/fdpass/");

        for (size_t i = 0; name && i < ELEMENTSOF(names); i++)
                if (streq(name, names[i]))
                        return true;

        return false;
}

/* True if the broker's unit, with an administrator's drop-ins, has this setting on. It is on in the unit as shipped. */
static bool lint_socket_broker_has(const Lint *l, const char *key) {
        _cleanup_(unit_freep) Unit *unit = NULL;
        Assignment *a;

        if (unit_load(l->path, "fdpass.service", &unit) != 0)
                return true;

        a = config_last(unit, SECTION_SERVICE, key);
        return !a || !(streq(a->value, "no") || streq(a->value, "false") || streq(a->value, "0"));
}

/* Returns the directory above @path that the broker's sandbox hides (systemd.exec(5)). NULL: there is none. */
static const char *lint_socket_hidden(const Lint *l, const char *path) {
        static const struct {
                const char *directory, *key;
        } hidden[] = {
                { "/home", "ProtectHome" },   { "/root", "ProtectHome" }, { "/run/user", "ProtectHome" },
                { "/tmp", "PrivateTmp" },     { "/var/tmp", "PrivateTmp" },
        };

        for (size_t i = 0; i < ELEMENTSOF(hidden); i++) {
                const char *rest = startswith(path, hidden[i].directory);

                if (rest && *rest == '/' && lint_socket_broker_has(l, hidden[i].key))
                        return hidden[i].directory;
        }

        return NULL;
}

void lint_worker_path(const Lint *l, const Unit *unit, const RouteConfig *route, Assignment *a) {
        const char *hidden = lint_socket_hidden(l, route->worker);

        if (a && hidden)
                lint_warn(l, unit, a, "The broker does not see files below %s, so it can't connect to %s; use a path "
                          "in /run/fdpass.", hidden, route->worker);
        else if (a && lint_socket_is_of_broker(route->worker))
                lint_warn(l, unit, a, "%s is a socket of the broker itself, which gets no client; use another path, "
                          "such as /run/fdpass/%.*s.sock.", route->worker, (int) unit->name.n_stem, unit->name.name);
}

void lint_socket(const Lint *l, const Unit *unit, const RouteConfig *route) {
        Assignment *listen = lint_listen_line(unit), *flush = lint_in_effect(unit, SECTION_SOCKET, "FlushPending");

        if (!listen)
                return;

        lint_worker_path(l, unit, route, listen);
        lint_trigger(l, unit, listen, /* is_public= */ false);
        lint_socket_check_mode(l, unit, listen);
        lint_socket_check_accept(l, unit);
        if (flush && lint_is_on(unit, SECTION_SOCKET, "FlushPending"))
                lint_warn(l, unit, flush, "FlushPending=yes throws away the clients that wait in the socket when the "
                          "service ends, so they are lost; remove it.");
}
