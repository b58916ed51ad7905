/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/add-try.h"

#include <fcntl.h>
#include <stdio.h>

#include "basic/fd.h"
#include "config/config-parse.h"
#include "fdpassctl/add-units.h"
#include "fdpassctl/load-units.h"
#include "fdpassctl/options.h"
#include "fdpassctl/systemctl.h"
#include "match/match.h"
#include "probe/probe.h"

#define HTTP (1U << PROBE_HTTP)
#define TLS (1U << PROBE_TLS)
#define SSH (1U << PROBE_SSH)

/* The public port of a route. */
typedef struct AddTarget {
        const ListenerConfig *listener;
        char host[64]; /* "localhost" or an address, IPv6 in brackets */
        char port[16];
} AddTarget;

/* Prints @s as one word for a shell. "*" and "?" of a pattern become a letter. */
static void add_try_quote(const char *s, bool is_pattern) {
        putchar('\'');
        for (; *s; s++)
                if (*s == '\'')
                        fputs("'\\''", stdout);
                else
                        putchar(is_pattern && (*s == '*' || *s == '?') ? 'x' : *s);
        putchar('\'');
}

/* Of a wildcard any name below it will do. */
static void add_try_host(const RouteMatch *match, char ret[static 300]) {
        const char *host = match->hosts ? match->hosts[0] : "";

        (void) snprintf(ret, 300, "%s%.280s", *host == '*' ? "any" : "", host + (*host == '*'));
}

/* Takes "80", "192.0.2.1:80", "[::]:80" or "0.0.0.0:80" (systemd.socket(5), ListenStream=). */
static bool add_try_set_address(const char *address, AddTarget *ret) {
        const char *colon = strrchr(address, ':');
        const char *port = colon ? colon + 1 : address;
        int n = colon ? (int) (colon - address) : 0;

        if (!*port || port[strspn(port, "0123456789")] || strlen(port) >= sizeof(ret->port) ||
            n >= (int) sizeof(ret->host))
                return false;

        (void) snprintf(ret->port, sizeof(ret->port), "%s", port);
        (void) snprintf(ret->host, sizeof(ret->host), "%.*s", n, address);
        if (n == 0 || streq(ret->host, "[::]") || streq(ret->host, "0.0.0.0"))
                (void) snprintf(ret->host, sizeof(ret->host), "localhost");
        return true;
}

/* Reads the address of a public socket. Returns false if it is not of TCP. */
static bool add_try_read_address(const UnitPath *path, const char *name, AddTarget *ret) {
        _cleanup_(unit_freep) Unit *unit = NULL;
        char value[VALUE_SIZE];
        const char *bad;
        bool found = false;

        if (unit_load(path, name, &unit) != 0)
                return false;

        for (size_t i = 0; i < unit->n_assignments; i++) {
                const Assignment *a = unit->assignments[i];
                const SpecifierContext c = { &unit->name, "localhost" };

                if (a->section != SECTION_SOCKET || !streq(a->key, "ListenStream"))
                        continue;
                if (!*a->value)
                        found = false;
                else if (!found && specifier_expand(a->value, &c, value, sizeof(value), &bad) == 0)
                        found = add_try_set_address(value, ret);
        }

        return found;
}

static bool add_try_wants_tls(const RouteMatch *match) {
        return match->tls == TLS_MATCH_YES || match->protocols == TLS;
}

/* Prefers a port that is enabled. With TLS=yes a port whose name says 443 is tried before others. */
static bool add_try_find_target(const Config *config, const RouteMatch *match, AddTarget *ret) {
        _cleanup_(unit_path_freep) UnitPath *path = NULL;
        _cleanup_close_ int root_fd = open(arg_root, O_PATH | O_DIRECTORY | O_CLOEXEC);
        bool wants_tls = add_try_wants_tls(match);
        Reporter silent = {};
        int best = -1;

        if (root_fd < 0 || unit_path_new(root_fd, &silent, &path) < 0)
                return false;

        for (size_t i = 0; i < config->n_listeners; i++) {
                AddTarget t = { .listener = &config->listeners[i] };
                int rank;

                if (!match_is_for_listener(match, t.listener->name) ||
                    !add_try_read_address(path, t.listener->unit, &t))
                        continue;

                rank = 2 * t.listener->is_enabled + (wants_tls == !!strstr(t.port, "443"));
                if (rank > best) {
                        *ret = t;
                        best = rank;
                }
        }

        return best >= 0;
}

static void add_try_print_curl(const RouteMatch *match, const AddTarget *t) {
        bool is_tls = add_try_wants_tls(match);
        bool is_default_port = streq(t->port, is_tls ? "443" : "80");
        char host[300];

        add_try_host(match, host);
        printf("        curl -i%s", is_tls ? "k" : "");
        if (match->methods && !streq(match->methods[0], "GET"))
                printf(streq(match->methods[0], "HEAD") ? "I" : " -X %s", match->methods[0]);
        for (size_t i = 0; i < match->n_headers; i++)
                if (i == 0 || !streq(match->headers[i].name, match->headers[i - 1].name)) {
                        char header[512];

                        (void) snprintf(header, sizeof(header), "%.200s: %.300s", match->headers[i].name,
                                        match->headers[i].glob);
                        fputs(" -H ", stdout);
                        add_try_quote(header, /* is_pattern= */ true);
                }
        if (*host)
                printf(" --connect-to %s:%s:%s:%s", host, t->port, t->host, t->port);
        printf(" http%s://%s%s%s%s\n", is_tls ? "s" : "", *host ? host : t->host, is_default_port ? "" : ":",
               is_default_port ? "" : t->port, match->paths ? match->paths[0] : "/");
}

static void add_try_print_command(const RouteMatch *match, const AddTarget *t) {
        char host[300];

        add_try_host(match, host);
        if (match->name)
                printf("Workers reach it when they hand clients back for the name %s.\n", match->name);
        else if (match->n_prefixes > 0 || (match->protocols & ~(HTTP | TLS | SSH)) ||
                 (!match->protocols && !match->hosts && !match->paths && !match->methods && match->n_headers == 0 &&
                  !match->alpns))
                printf("Try it:\n        nc %s %s\n", t->host, t->port);
        else if (match->protocols == SSH)
                printf("Try it:\n        ssh -p %s %s\n", t->port, t->host);
        else if (match->alpns)
                printf("Try it:\n        openssl s_client -connect %s:%s -alpn %s%s%s\n", t->host, t->port,
                       match->alpns[0], *host ? " -servername " : "", host);
        else {
                printf("Try it:\n");
                add_try_print_curl(match, t);
        }
}

/* A listener that is named by a number is an instance of fdpass@.socket. */
static void add_try_print_no_port(const RouteMatch *match) {
        const char *listener = match->listeners ? match->listeners[0] : "public";

        if (listener[strspn(listener, "0123456789")] == '\0')
                printf("Open its port first:\n        systemctl enable fdpass@%s.socket\n"
                       "        systemctl restart fdpass.service\n", listener);
        else
                printf("Open a port first:\n        systemctl enable --now fdpass.socket\n");
}

/* Opens port 443 in @target by what it prints. Returns false if a route of other listeners would not get clients. */
static bool add_try_open_https(const RouteMatch *match, AddTarget *target) {
        if (match->listeners) {
                printf("No public port for HTTPS leads to it yet. See HTTPS in fdpass(7).\n");
                return false;
        }

        /* A worker that takes TLS clients as they come has its own certificate. */
        printf("Open the port for HTTPS first:\n");
        if (match->tls == TLS_MATCH_YES)
                printf("        install -m 600 NAME.crt NAME.key /etc/fdpass/tls/\n"
                       "        systemctl enable --now fdpass-tls.socket\n");
        printf("        systemctl enable fdpass@443.socket\n        systemctl restart fdpass.service\n");
        *target = (AddTarget) { .host = "localhost", .port = "443" };
        return true;
}

void add_try_print(const AddPlan *plan, const Config *config) {
        const RouteConfig *route;
        AddTarget t = {};
        char unit[256];

        route = load_find_route(config, add_unit_name(plan, unit));
        if (!route)
                return;

        if (plan->no_start || !streq(arg_root, "/")) {
                if (plan->no_start)
                        printf("To start it:\n        systemctl daemon-reload\n        systemctl enable --now %s\n"
                               "        fdpassctl reload\n", unit);
                return;
        }

        if (!add_try_find_target(config, &route->match, &t)) {
                add_try_print_no_port(&route->match);
                return;
        }
        if (add_try_wants_tls(&route->match) && !strstr(t.port, "443")) {
                if (!add_try_open_https(&route->match, &t))
                        return;
        } else if (!systemctl_is_active(t.listener->unit))
                printf("Open the port first:\n        systemctl enable --now %s\n", t.listener->unit);
        add_try_print_command(&route->match, &t);
        printf("To take it away again:\n        fdpassctl remove %s\n", plan->name);
}
