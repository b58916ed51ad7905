/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config/route-config.h"

#include <stdio.h>
#include <sys/un.h>

#include "basic/array.h"
#include "config/connections-need.h"
#include "config/flusher-config.h"
#include "config/match-config.h"
#include "config/redirect-config.h"

/* Longest path of a socket, in bytes. systemd needs room for a NUL after it. */
#define SOCKET_PATH_MAX (sizeof(((struct sockaddr_un *) NULL)->sun_path) - 1)

#define VALUE(field) CONFIG_VALUE(RouteDraft, field)
#define OBJECT(field) CONFIG_OBJECT(RouteDraft, field)

void route_config_done(RouteConfig *route) {
        match_config_done(&route->match);
        free(route->unit);
        free(route->path);
        free(route->worker);
        free(route->failure_route);
        free(route->need.path);
        flusher_config_done(route);
        *route = (RouteConfig){};
}

static void route_config_draft_done(RouteDraft *d) {
        route_config_done(&d->route);
        strlist_clear(&d->listeners);
        strlist_clear(&d->hosts);
        strlist_clear(&d->paths);
        strlist_clear(&d->methods);
        strlist_clear(&d->alpns);
        strlist_clear(&d->response_headers);
        free(d->redirect_to);
        free(d->listens);
}

/* True for a path that systemd listens on: absolute and normalised, but with runs of slashes (path_is_normalized()). */
static bool route_config_is_socket_path(const char *path) {
        size_t n;

        if (path[0] != '/' || strlen(path) > SOCKET_PATH_MAX)
                return false;

        for (const char *p = path; *p; p += n) {
                p += strspn(p, "/");
                n = strcspn(p, "/");
                if ((n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
                        return false;
        }

        return true;
}

/* Replaces /var/run by /run, as systemd does, because the broker follows no symbolic links. */
static int route_config_use_run(ConfigContext *c, const Assignment *a, const char *below, char **worker) {
        char path[SOCKET_PATH_MAX + 1];

        (void) snprintf(path, sizeof(path), "/run/%s", below);
        reporter_say(c->reporter, CONFIG_WARNING, c->unit->id, a->path, a->line,
                     "%s=/var/run/%s is below a symbolic link, which the broker does not follow; write %s, which it "
                     "uses instead.", a->key, below, path);
        return config_set_string(worker, path);
}

/* Sets the path of the worker's socket, or reports why it is wrong. */
static int route_config_use_worker(ConfigContext *c, const Assignment *a, const char *path, char **worker) {
        const char *below;

        if (!route_config_is_socket_path(path)) {
                config_bad_value(c, a, "an absolute, normalised path of at most %zu bytes", SOCKET_PATH_MAX);
                return 0;
        }

        below = startswith(path, "/var/run/");
        return below ? route_config_use_run(c, a, below, worker) : config_set_string(worker, path);
}

static int route_config_parse_worker(ConfigContext *c, const Assignment *a, void *field) {
        char path[VALUE_SIZE];

        if (!*a->value)
                return config_set_string(field, "");

        return config_expand(c, a, a->value, path) ? route_config_use_worker(c, a, path, field) : 0;
}

/* All Listen…= keys share a list, and an empty one of any kind resets it (systemd: config_parse_socket_listen()). */
static int route_config_parse_listen(_unused_ ConfigContext *c, const Assignment *a, void *field) {
        RouteDraft *d = CONTAINER_OF(field, RouteDraft, listens);

        if (!*a->value) {
                /* The array stays. ARRAY_GROW() may shrink it, which does no harm. */
                d->n_listens = 0;
                return 0;
        }

        if (!ARRAY_GROW(d->listens, d->n_listens))
                return -ENOMEM;

        d->listens[d->n_listens++] = a;
        return 0;
}

static int route_config_parse_fallback(ConfigContext *c, const Assignment *a, void *field) {
        RouteConfig *route = CONTAINER_OF(field, RouteConfig, fallback);
        char value[VALUE_SIZE];
        UnitName name;

        if (!config_expand(c, a, a->value, value))
                return 0;

        free(TAKE_PTR(route->failure_route));

        if (!*value || streq(value, "refuse"))
                route->fallback = FALLBACK_REFUSE;
        else if (streq(value, "close"))
                route->fallback = FALLBACK_CLOSE;
        else if (unit_name_parse(value, &name)) {
                route->fallback = FALLBACK_ROUTE;
                route->failure_route = strdup(value);
                if (!route->failure_route)
                        return -ENOMEM;
        } else
                config_bad_value(c, a, "\"refuse\", \"close\" or the name of another route's unit");

        return 0;
}

static const char *const balance_names[] = {
        [BALANCE_LEAST_PENDING] = "least-pending",
        [BALANCE_LEAST_CONNECTIONS] = "least-connections",
        [BALANCE_ROUND_ROBIN] = "round-robin",
        [BALANCE_SOURCE_HASH] = "source-hash",
        NULL,
};

static const char *const receipt_names[] = {
        [RECEIPT_BY_KERNEL] = "kernel",
        [RECEIPT_BY_ACK] = "ack",
        NULL,
};

static const char *const metadata_names[] = { [false] = "none", [true] = "full", NULL };

static const char *const tls_names[] = {
        [TLS_MATCH_ANY] = "any",
        [TLS_MATCH_NO] = "no",
        [TLS_MATCH_YES] = "yes",
        NULL,
};

static const char *const host_mismatch_names[] = { [false] = "refuse", [true] = "allow", NULL };

static const ConfigKey route_config_keys[] = {
        { SECTION_FDPASS, "ALPN",            config_parse_strings, OBJECT(alpns), .is_list = true,
          .take = config_take_alpn, .wants = "names of protocols, of at most 255 bytes" },
        { SECTION_FDPASS, "Header",          config_parse_headers, OBJECT(route.match.headers), .is_list = true },
        { SECTION_FDPASS, "Host",            config_parse_strings, OBJECT(hosts), .is_list = true,
          .take = config_take_host,
          .wants = "names such as example.org, or *.example.org for all names below it, with spaces between them and "
                   "without ports (no Host= line takes every host; letters outside of ASCII are written as xn--…)" },
        { SECTION_FDPASS, "HostMismatch",    config_parse_choice, VALUE(route.match.allows_other_host),
          .choices = host_mismatch_names },
        { SECTION_FDPASS, "InternalName",    config_parse_name, OBJECT(route.match.name) },
        { SECTION_FDPASS, "Listener",        config_parse_strings, OBJECT(listeners), .is_list = true,
          .take = config_take_listener, .wants = "names as FileDescriptorName= takes them (ASCII, no \":\")" },
        { SECTION_FDPASS, "Method",          config_parse_strings, OBJECT(methods), .is_list = true,
          .take = config_take_method, .wants = "methods of HTTP, which are in upper case" },
        { SECTION_FDPASS, "Path",            config_parse_strings, OBJECT(paths), .is_list = true,
          .take = config_take_path,
          .wants = "paths that begin with \"/\" and mean the same to every server (no query, \"//\", \"..\", "
                   "\";\" or escaped letters)" },
        { SECTION_FDPASS, "Prefix",          config_parse_prefixes, OBJECT(route.match.prefixes), .is_list = true },
        { SECTION_FDPASS, "Protocol",        config_parse_protocols, VALUE(route.match.protocols), .is_list = true },
        { SECTION_FDPASS, "RoutePriority",   config_parse_int, VALUE(route.match.priority) },
        { SECTION_FDPASS, "Source",          config_parse_sources, OBJECT(route.match.sources), .is_list = true },
        { SECTION_FDPASS, "TLS",             config_parse_choice, VALUE(route.match.tls), .choices = tls_names },

        { SECTION_FDPASS, "Backup",          config_parse_bool, VALUE(route.backup) },
        { SECTION_FDPASS, "Balance",         config_parse_choice, VALUE(route.balance), .choices = balance_names },
        { SECTION_FDPASS, "Fallback",        route_config_parse_fallback, OBJECT(route.fallback), .shown = "refuse" },
        { SECTION_FDPASS, "Flusher",         config_parse_flusher, OBJECT(route.flusher), .shown = "none" },
        { SECTION_FDPASS, "HandsBack",       config_parse_bool, VALUE(route.hands_back) },
        { SECTION_FDPASS, "LintSandbox",     config_parse_bool, VALUE(route.lint_sandbox) },
        { SECTION_FDPASS, "MaxConnections",  config_parse_unsigned, VALUE(route.max_connections), .max = 1048576,
          .is_of_systemd = true },
        { SECTION_FDPASS, "MaxPending",      config_parse_unsigned, VALUE(route.max_pending), .min = 1, .max = 65536 },
        { SECTION_FDPASS, "MaxQueued",       config_parse_unsigned, VALUE(route.max_queued), .max = 1048576 },
        { SECTION_FDPASS, "Metadata",        config_parse_choice, VALUE(route.metadata), .choices = metadata_names },
        { SECTION_FDPASS, "QueueTimeoutSec", config_parse_timespan, VALUE(route.queue_timeout_usec) },
        { SECTION_FDPASS, "Receipt",         config_parse_choice, VALUE(route.receipt), .choices = receipt_names },
        { SECTION_FDPASS, "RedirectTo",      config_parse_redirect_to, OBJECT(redirect_to) },
        { SECTION_FDPASS, "ResponseHeader",  config_parse_response_header, OBJECT(response_headers), .is_list = true },
        { SECTION_FDPASS, "ResponseStatus",  config_parse_response_status, OBJECT(route.response_status),
          .shown = "200 OK" },
        { SECTION_FDPASS, "Weight",          config_parse_unsigned, VALUE(route.weight), .min = 1, .max = 100 },
        { SECTION_FDPASS, "Worker",          route_config_parse_worker, OBJECT(route.worker) },

        { SECTION_SOCKET, "ListenDatagram",         route_config_parse_listen, OBJECT(listens), .is_list = true },
        { SECTION_SOCKET, "ListenFIFO",             route_config_parse_listen, OBJECT(listens), .is_list = true },
        { SECTION_SOCKET, "ListenMessageQueue",     route_config_parse_listen, OBJECT(listens), .is_list = true },
        { SECTION_SOCKET, "ListenNetlink",          route_config_parse_listen, OBJECT(listens), .is_list = true },
        { SECTION_SOCKET, "ListenSequentialPacket", route_config_parse_listen, OBJECT(listens), .is_list = true },
        { SECTION_SOCKET, "ListenSpecial",          route_config_parse_listen, OBJECT(listens), .is_list = true },
        { SECTION_SOCKET, "ListenStream",           route_config_parse_listen, OBJECT(listens), .is_list = true },
        { SECTION_SOCKET, "ListenUSBFunction",      route_config_parse_listen, OBJECT(listens), .is_list = true },
};

static const RouteDraft route_config_defaults = {
        .route = {
                .transport = TRANSPORT_STREAM,
                .metadata = true,
                .hands_back = true,
                .weight = 1,
                .max_pending = 64,
                .max_queued = 1024,
                .queue_timeout_usec = 30 * USEC_PER_SEC,
                .lint_sandbox = true,
                .response_status = 200,
        },
};

/* Strict: if a misspelt match key were ignored, the route would take more clients than intended. */
const ConfigKind config_kind_route = {
        .name = "a worker's unit",
        .keys = route_config_keys,
        .n_keys = ELEMENTSOF(route_config_keys),
        .defaults = &route_config_defaults,
        .is_strict = true,
};

static bool route_config_is_worker_line(const Assignment *a) {
        return streq(a->key, "ListenStream") || streq(a->key, "ListenSequentialPacket");
}

static Transport route_config_form_of(const Assignment *a) {
        return streq(a->key, "ListenStream") ? TRANSPORT_STREAM : TRANSPORT_SEQPACKET;
}

/* Uses the first Listen…= line with a path in the file system. */
static int route_config_find_worker(ConfigContext *c, RouteDraft *d) {
        const Assignment *other = NULL, *datagram = NULL;
        char address[VALUE_SIZE];

        for (size_t i = 0; i < d->n_listens; i++) {
                const Assignment *a = d->listens[i];

                if (streq(a->key, "ListenDatagram"))
                        datagram = a;
                if (!route_config_is_worker_line(a))
                        continue;

                if (!config_expand(c, a, a->value, address))
                        return 0;

                if (address[0] != '/') {
                        other = other ? other : a;
                        continue;
                }

                d->route.transport = route_config_form_of(a);
                return route_config_use_worker(c, a, address, &d->route.worker);
        }

        if (other)
                config_bad_value(c, other, "a path in the file system, because the broker passes clients to a path");
        else if (datagram)
                config_error(c, datagram, "ListenDatagram= has no receipt, so no client is passed to it; "
                             "use ListenSequentialPacket= or ListenStream=.");

        return 0;
}

static int route_config_leave_out_worker(RouteConfig *route) {
        free(route->worker);
        route->transport_is_open = true; /* no socket has to be of a type */
        route->worker = strdup("");
        return route->worker ? 0 : -ENOMEM;
}

/* Finds the worker of the route, or reports that it has none. */
static int route_config_complete_worker(ConfigContext *c, RouteDraft *d) {
        bool is_socket = streq(c->unit->name.type, "socket");
        int r;

        if (redirect_config_is_on(&d->route))
                return route_config_leave_out_worker(&d->route);

        if (is_socket && !d->route.worker) {
                r = route_config_find_worker(c, d);
                if (r < 0)
                        return r;
        } else if (d->route.worker) {
                d->route.transport = TRANSPORT_SEQPACKET;
                d->route.transport_is_open = true;
        }

        if (d->route.worker || c->has_failed)
                return 0;

        c->has_failed = true;
        reporter_say(c->reporter, CONFIG_ERROR, c->unit->id, unit_main_path(c->unit), 0,
                     is_socket ? "%s has no ListenSequentialPacket= or ListenStream= in [Socket], and no Worker= in "
                                 "[X-FDPass]; add the path of the worker's socket."
                               : "%s is not a socket unit, so it must say Worker= or Flusher=redirect in [X-FDPass].",
                     c->unit->id);
        return 0;
}

/* Notes a key of the unit that needs the kernel's reports. */
static int route_config_note_need(const ConfigContext *c, RouteConfig *route) {
        const char *key = route->max_connections > 0                    ? "MaxConnections"
                          : route->balance == BALANCE_LEAST_CONNECTIONS ? "Balance"
                                                                        : NULL;

        return key ? connections_need_set(&route->need, c->unit, key) : 0;
}

static int route_config_complete(ConfigContext *c, RouteDraft *d) {
        int r;

        r = route_config_complete_worker(c, d);
        if (r < 0)
                return r;

        d->route.unit = strdup(c->unit->id);
        d->route.path = strdup(unit_main_path(c->unit));
        if (!d->route.unit || !d->route.path)
                return -ENOMEM;

        d->route.stamp = c->unit->stamp;
        r = route_config_note_need(c, &d->route);
        if (r < 0)
                return r;

        match_config_finish(c, d);
        r = redirect_config_finish(c, d);
        return r < 0 ? r : flusher_config_finish(c, d);
}

int route_config_read(ConfigContext *c, RouteConfig *ret) {
        _cleanup_(route_config_draft_done) RouteDraft d = route_config_defaults;
        int r;

        c->has_failed = c->unit->is_broken;

        if (!c->unit->has_fdpass)
                return ROUTE_NONE;

        r = config_table_apply(&config_kind_route, c, &d);
        if (r >= 0)
                r = route_config_complete(c, &d);
        if (r < 0 || c->has_failed)
                return r < 0 ? r : ROUTE_NONE;

        *ret = d.route;
        d.route = (RouteConfig){};
        return 0;
}
