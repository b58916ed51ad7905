/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config/route-config.h"

#include <stdio.h>
#include <sys/un.h>

#include "basic/array.h"
#include "config/flusher-config.h"
#include "config/match-config.h"

/* An address needs room for the NUL too. */
#define SOCKET_PATH_MAX (sizeof(((struct sockaddr_un *) NULL)->sun_path) - 1)

/* A route while it is being read. */
typedef struct Draft {
        RouteConfig route;
        MatchDraft match;
        FlusherDraft flusher;
        const Assignment **listens; /* the Listen…= lines that are in force, in their order */
        size_t n_listens;
} Draft;

static void draft_done(Draft *d) {
        route_config_done(&d->route);
        match_draft_done(&d->match);
        flusher_draft_done(&d->flusher);
        free(d->listens);
}

void route_config_done(RouteConfig *route) {
        route_match_done(&route->match);
        free(route->unit);
        free(route->path);
        free(route->worker);
        free(route->failure_route);
        route_flusher_done(route);
        *route = (RouteConfig){};
}

/*
 * systemd refuses to listen on a path that is not normalised, and nobody but systemd can make the worker's
 * socket. Runs of slashes it lets pass.
 */
static bool is_socket_path(const char *path) {
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

/* The broker follows no symbolic link; this one is everywhere, and systemd replaces it as well. */
static int use_run(ConfigContext *c, const Assignment *a, const char *below, char **worker) {
        char path[SOCKET_PATH_MAX + 1];

        (void) snprintf(path, sizeof(path), "/run/%s", below);
        reporter_say(c->reporter, CONFIG_WARNING, c->unit->id, a->path, a->line,
                     "%s=/var/run/%s is below a link to /run, which the broker does not follow; it takes %s.", a->key, below,
                     path);
        return config_set_string(worker, path);
}

/* Takes a path over as the worker's, or reports why not. */
static int use_worker(ConfigContext *c, const Assignment *a, const char *path, char **worker) {
        const char *below;

        if (!is_socket_path(path)) {
                config_bad_value(c, a, "an absolute, normalised path of at most %zu bytes", SOCKET_PATH_MAX);
                return 0;
        }

        below = startswith(path, "/var/run/");
        return below ? use_run(c, a, below, worker) : config_set_string(worker, path);
}

static int parse_worker(ConfigContext *c, _unused_ const ConfigKey *key, const Assignment *a, void *field,
                        _unused_ const void *fallback) {
        char path[VALUE_SIZE];

        if (!*a->value)
                return config_set_string(field, "");

        return config_expand(c, a, a->value, path) ? use_worker(c, a, path, field) : 0;
}

/* One list for all of these keys: an empty one of any kind resets it (config_parse_socket_listen() of systemd). */
static int parse_listen(_unused_ ConfigContext *c, _unused_ const ConfigKey *key, const Assignment *a, void *field,
                        _unused_ const void *fallback) {
        Draft *d = CONTAINER_OF(field, Draft, listens);

        if (!*a->value) {
                /* The array stays: it only ever grows by one. */
                d->n_listens = 0;
                return 0;
        }

        if (!ARRAY_GROW(d->listens, d->n_listens))
                return -ENOMEM;

        d->listens[d->n_listens++] = a;
        return 0;
}

static int parse_balance(ConfigContext *c, _unused_ const ConfigKey *key, const Assignment *a, void *field,
                         const void *fallback) {
        static const char *const names[] = {
                [BALANCE_LEAST_PENDING] = "least-pending",
                [BALANCE_ROUND_ROBIN] = "round-robin",
                [BALANCE_SOURCE_HASH] = "source-hash",
        };

        if (!*a->value) {
                *(Balance *) field = *(const Balance *) fallback;
                return 0;
        }

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (streq(a->value, names[i])) {
                        *(Balance *) field = (Balance) i;
                        return 0;
                }

        config_bad_value(c, a, "\"least-pending\", \"round-robin\" or \"source-hash\"");
        return 0;
}

static int parse_metadata(ConfigContext *c, _unused_ const ConfigKey *key, const Assignment *a, void *field,
                          const void *fallback) {
        bool *v = field;

        if (!*a->value)
                *v = *(const bool *) fallback;
        else if (streq(a->value, "full"))
                *v = true;
        else if (streq(a->value, "none"))
                *v = false;
        else
                config_bad_value(c, a, "\"full\" or \"none\"");

        return 0;
}

static int parse_receipt(ConfigContext *c, _unused_ const ConfigKey *key, const Assignment *a, void *field,
                         const void *fallback) {
        ReceiptKind *v = field;

        if (!*a->value)
                *v = *(const ReceiptKind *) fallback;
        else if (streq(a->value, "kernel"))
                *v = RECEIPT_BY_KERNEL;
        else if (streq(a->value, "ack"))
                *v = RECEIPT_BY_ACK;
        else
                config_bad_value(c, a, "\"kernel\" or \"ack\"");

        return 0;
}

static int parse_fallback(ConfigContext *c, _unused_ const ConfigKey *key, const Assignment *a, void *field,
                          const void *fallback) {
        RouteConfig *route = CONTAINER_OF(field, RouteConfig, fallback);
        char value[VALUE_SIZE];
        UnitName name;

        if (!config_expand(c, a, a->value, value))
                return 0;

        free(TAKE_PTR(route->failure_route));

        if (!*value)
                route->fallback = *(const Fallback *) fallback;
        else if (streq(value, "refuse"))
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

static const ConfigKey route_keys[] = {
        { SECTION_FDPASS, "ALPN",            config_parse_alpns,    offsetof(Draft, match.alpns), 0, 0, true, NULL },
        { SECTION_FDPASS, "Header",          config_parse_headers,  offsetof(Draft, match.headers), 0, 0, true, NULL },
        { SECTION_FDPASS, "Host",            config_parse_hosts,    offsetof(Draft, match.hosts), 0, 0, true, NULL },
        { SECTION_FDPASS, "InternalName",    config_parse_name,     offsetof(Draft, match.name), 0, 0, false, NULL },
        { SECTION_FDPASS, "Listener",        config_parse_listeners, offsetof(Draft, match.listeners), 0, 0, true, NULL },
        { SECTION_FDPASS, "Method",          config_parse_methods,  offsetof(Draft, match.methods), 0, 0, true, NULL },
        { SECTION_FDPASS, "Path",            config_parse_paths,    offsetof(Draft, match.paths), 0, 0, true, NULL },
        { SECTION_FDPASS, "Prefix",          config_parse_prefixes, offsetof(Draft, match.prefixes), 0, 0, true, NULL },
        { SECTION_FDPASS, "Protocol",        config_parse_protocols, offsetof(Draft, match.protocols), 0, 0, true, NULL },
        { SECTION_FDPASS, "RoutePriority",   config_parse_int,      offsetof(Draft, match.priority), 0, 0, false, NULL },
        { SECTION_FDPASS, "Source",          config_parse_addresses, offsetof(Draft, match.sources), 0, 0, true, NULL },

        { SECTION_FDPASS, "Backup",          config_parse_bool,     offsetof(Draft, route.backup), 0, 0, false, "no" },
        { SECTION_FDPASS, "Balance",         parse_balance,         offsetof(Draft, route.balance), 0, 0, false, "least-pending" },
        { SECTION_FDPASS, "Fallback",        parse_fallback,        offsetof(Draft, route.fallback), 0, 0, false, "refuse" },
        { SECTION_FDPASS, "Flusher",         config_parse_flusher,  offsetof(Draft, flusher), 0, 0, false, "none" },
        { SECTION_FDPASS, "LintSandbox",     config_parse_bool,     offsetof(Draft, route.lint_sandbox), 0, 0, false, "yes" },
        { SECTION_FDPASS, "MaxPending",      config_parse_unsigned, offsetof(Draft, route.max_pending), 1, 65536, false, NULL },
        { SECTION_FDPASS, "MaxQueued",       config_parse_unsigned, offsetof(Draft, route.max_queued), 0, 1048576, false, NULL },
        { SECTION_FDPASS, "Metadata",        parse_metadata,        offsetof(Draft, route.metadata), 0, 0, false, "full" },
        { SECTION_FDPASS, "QueueTimeoutSec", config_parse_timespan, offsetof(Draft, route.queue_timeout_usec), 0, 0, false, NULL },
        { SECTION_FDPASS, "Receipt",         parse_receipt,         offsetof(Draft, route.receipt), 0, 0, false, "kernel" },
        { SECTION_FDPASS, "ResponseHeader",  config_parse_response_header, offsetof(Draft, flusher), 0, 0, true, NULL },
        { SECTION_FDPASS, "ResponseStatus",  config_parse_response_status, offsetof(Draft, flusher), 0, 0, false, "200 OK" },
        { SECTION_FDPASS, "Weight",          config_parse_unsigned, offsetof(Draft, route.weight), 1, 100, false, NULL },
        { SECTION_FDPASS, "Worker",          parse_worker,          offsetof(Draft, route.worker), 0, 0, false, NULL },

        { SECTION_SOCKET, "ListenDatagram",         parse_listen, offsetof(Draft, listens), 0, 0, true, NULL },
        { SECTION_SOCKET, "ListenFIFO",             parse_listen, offsetof(Draft, listens), 0, 0, true, NULL },
        { SECTION_SOCKET, "ListenMessageQueue",     parse_listen, offsetof(Draft, listens), 0, 0, true, NULL },
        { SECTION_SOCKET, "ListenNetlink",          parse_listen, offsetof(Draft, listens), 0, 0, true, NULL },
        { SECTION_SOCKET, "ListenSequentialPacket", parse_listen, offsetof(Draft, listens), 0, 0, true, NULL },
        { SECTION_SOCKET, "ListenSpecial",          parse_listen, offsetof(Draft, listens), 0, 0, true, NULL },
        { SECTION_SOCKET, "ListenStream",           parse_listen, offsetof(Draft, listens), 0, 0, true, NULL },
        { SECTION_SOCKET, "ListenUSBFunction",      parse_listen, offsetof(Draft, listens), 0, 0, true, NULL },
};

ConfigKeys route_config_keys(void) {
        return (ConfigKeys){ route_keys, ELEMENTSOF(route_keys) };
}

static const Draft defaults = {
        .route = {
                .form = WORKER_STREAM,
                .metadata = true,
                .weight = 1,
                .max_pending = 64,
                .max_queued = 1024,
                .queue_timeout_usec = 30 * USEC_PER_SEC,
                .lint_sandbox = true,
        },
        .flusher.status = 200,
};

static bool is_socket_line(const Assignment *a) {
        return streq(a->key, "ListenStream") || streq(a->key, "ListenSequentialPacket");
}

static WorkerForm form_of(const Assignment *a) {
        return streq(a->key, "ListenStream") ? WORKER_STREAM : WORKER_SEQPACKET;
}

/* The first line that listens on a path in the file system is where the worker waits. */
static int find_worker(ConfigContext *c, Draft *d) {
        const Assignment *other = NULL, *datagram = NULL;
        char address[VALUE_SIZE];

        for (size_t i = 0; i < d->n_listens; i++) {
                const Assignment *a = d->listens[i];

                if (streq(a->key, "ListenDatagram"))
                        datagram = a;
                if (!is_socket_line(a))
                        continue;

                if (!config_expand(c, a, a->value, address))
                        return 0;

                if (address[0] != '/') {
                        other = other ? other : a;
                        continue;
                }

                d->route.form = form_of(a);
                return use_worker(c, a, address, &d->route.worker);
        }

        if (other)
                config_bad_value(c, other, "a path in the file system, for clients to be handed to it");
        else if (datagram)
                config_error(c, datagram, "ListenDatagram= has no receipt, so no client is passed to it; "
                             "use ListenSequentialPacket= or ListenStream=.");

        return 0;
}

/* Sees to it that the route has a worker, or that it was said why not. */
static int complete_worker(ConfigContext *c, Draft *d) {
        bool is_socket = streq(c->unit->name.type, "socket");
        int r;

        if (is_socket && !d->route.worker) {
                r = find_worker(c, d);
                if (r < 0)
                        return r;
        }

        else if (d->route.worker) {
                d->route.form = WORKER_SEQPACKET;
                d->route.form_is_open = true;
        }

        if (d->route.worker || c->failed)
                return 0;

        c->failed = true;
        reporter_say(c->reporter, CONFIG_ERROR, c->unit->id, unit_main_path(c->unit), 0,
                     is_socket ? "%s has no ListenSequentialPacket= or ListenStream= in [Socket], and no Worker= in [X-FDPass]."
                               : "%s is not a socket unit, so it must say Worker= in [X-FDPass].", c->unit->id);
        return 0;
}

static int complete_names(const Unit *unit, Draft *d) {
        d->route.unit = strdup(unit->id);
        d->route.path = strdup(unit_main_path(unit));
        if (!d->route.unit || !d->route.path)
                return -ENOMEM;

        match_draft_finish(&d->match, &d->route.match);
        return 0;
}

int route_config_read(Reporter *reporter, const Unit *unit, const char *hostname, RouteConfig *ret) {
        const ConfigKeys keys = route_config_keys();
        _cleanup_(draft_done) Draft d = defaults;
        ConfigContext c = {
                .reporter = reporter,
                .unit = unit,
                .specifiers = { .unit = &unit->name, .hostname = hostname },
                .strict = true,
                .failed = unit->broken,
        };
        int r;

        if (!unit->has_fdpass) {
                if (!unit->broken)
                        reporter_say(reporter, CONFIG_WARNING, unit->id, unit_main_path(unit), 0,
                                     "%s has no [X-FDPass] section, so no client is routed to it.", unit->id);
                return ROUTE_NONE;
        }

        r = config_table_apply(&keys, &c, &d, &defaults);
        if (r < 0)
                return r;

        r = complete_worker(&c, &d);
        if (r < 0)
                return r;

        r = complete_names(unit, &d);
        if (r < 0)
                return r;

        match_check_size(&c, &d.route.match);

        r = flusher_draft_finish(&c, &d.flusher, &d.route);
        if (r < 0)
                return r;

        if (c.failed)
                return ROUTE_NONE;

        *ret = d.route;
        d.route = (RouteConfig){};
        return 0;
}

void route_config_describe(const Unit *unit, const char *hostname, ConfigEmit emit, void *userdata) {
        const ConfigKeys keys = route_config_keys();
        ConfigContext c = { .unit = unit, .specifiers = { .unit = &unit->name, .hostname = hostname } };

        config_table_describe(&keys, &c, &defaults, emit, userdata);
}
