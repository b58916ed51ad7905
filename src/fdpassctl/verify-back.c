/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/verify-back.h"

#include <stdio.h>

#include "fdpassctl/load-units.h"
#include "fdpassctl/worker-service.h"
#include "match/match.h"
#include "probe/probe.h"

typedef struct VerifyBack {
        const Config *config;
        MatchIndex *index;
        UnitPath *path;
} VerifyBack;

/* A request that another route takes, on the connection of a client that a route took. */
typedef struct OtherRequest {
        const RouteConfig *route;
        const char *host; /* a value of Host=; "": any host */
        const char *path; /* a value of Path=, or "/" */
} OtherRequest;

static void verify_back_done(VerifyBack *v) {
        match_index_free(v->index);
        unit_path_free(v->path);
}

/* Of a wildcard any name below it will do. */
static void verify_back_set_host(const char *pattern, ProbeName *ret) {
        bool is_wildcard = pattern[0] == '*';

        ret->n = (uint8_t) MAX(snprintf(ret->text, sizeof(ret->text), "%s%s", is_wildcard ? "any" : "",
                                        pattern + is_wildcard), 0);
}

/*
 * True if the route gets requests for this path. A route with more keys for the same path may get others, unless it
 * takes all.
 */
static bool verify_back_gets(const VerifyBack *v, const RouteConfig *route, ClientFacts *facts, const char *path) {
        MatchResult result;

        facts->path = slice_from_string(path);
        match_index_find(v->index, facts, &result);
        if (!result.found || result.ambiguous_path)
                return false;

        return match_compare(&route->match, result.match) == 0 ||
               ((result.match->methods || result.match->n_headers > 0) &&
                match_first_miss(&route->match, facts) == MATCH_NO_MISS);
}

/* Returns a path for which the route gets requests, or NULL. */
static const char *verify_back_find_path(const VerifyBack *v, const RouteConfig *route, ClientFacts *facts) {
        if (!route->match.paths)
                return verify_back_gets(v, route, facts, "/") ? "/" : NULL;

        for (char **path = route->match.paths; *path; path++)
                if (verify_back_gets(v, route, facts, *path))
                        return *path;

        return NULL;
}

/* Returns the path of @other's requests if both routes get requests for this host on this listener, or NULL. */
static const char *verify_back_share_host(const VerifyBack *v, const RouteConfig *route, const RouteConfig *other,
                                          const char *listener, const char *pattern) {
        ProbeName host;
        ClientFacts facts = {
                .listener = listener,
                .protocol = 1U << PROBE_HTTP,
                .is_any_request = true,
                .host = &host,
        };

        verify_back_set_host(pattern, &host);
        return verify_back_find_path(v, route, &facts) ? verify_back_find_path(v, other, &facts) : NULL;
}

/* Tries the hosts of both routes. Returns false if they share none. */
static bool verify_back_share(const VerifyBack *v, const RouteConfig *route, const RouteConfig *other, const char *listener,
                              OtherRequest *ret) {
        char **lists[] = { route->match.hosts, other->match.hosts };
        const char *path = NULL, *host = "";

        for (size_t i = 0; i < ELEMENTSOF(lists); i++)
                for (char **h = lists[i]; h && *h && !path; h++)
                        path = verify_back_share_host(v, route, other, listener, host = *h);
        if (!route->match.hosts && !other->match.hosts)
                path = verify_back_share_host(v, route, other, listener, host);

        *ret = (OtherRequest){ other, host, path };
        return path;
}

/*
 * A route with a name gets clients from workers. One with a negative priority is meant to get few. Routes of one worker
 * have no other worker.
 */
static bool verify_back_is_other(const RouteConfig *route, const RouteConfig *other) {
        return !other->match.name && other->match.priority >= 0 && !streq(other->worker, route->worker) &&
               match_compare(&other->match, &route->match) != 0;
}

/* Finds a request of another route that may come on a connection of this one. Returns false if there is none. */
static bool verify_back_find(const VerifyBack *v, const RouteConfig *route, OtherRequest *ret) {
        const Config *config = v->config;

        for (size_t i = 0; i < config->n_listeners; i++) {
                const ListenerConfig *l = &config->listeners[i];

                if (l->is_unread || !match_is_for_listener(&route->match, l->name))
                        continue;
                for (size_t k = 0; k < config->n_routes; k++)
                        if (verify_back_is_other(route, &config->routes[k]) &&
                            verify_back_share(v, route, &config->routes[k], l->name, ret))
                                return true;
        }

        return false;
}

/*
 * Returns why the service can't hand clients back, and what to do about it. NULL: nothing is known. *ret_key has the key
 * of the socket unit that the reason is about.
 */
static const char *verify_back_find_reason(const RouteConfig *route, const Unit *service, const char **ret_key) {
        *ret_key = load_worker_key(route);
        if (worker_service_has(service, "ExecStart", "/fdpass-proxy ", "") &&
            !worker_service_has(service, "ExecStart", "/fdpass-proxy ", " --http"))
                return "fdpass-proxy does that with --http only. Add that to ExecStart=, and SupplementaryGroups=fdpass";

        if (!worker_service_has(service, "Environment", "LD_PRELOAD=", "/fdpass-preload.so"))
                return NULL;
        if (worker_service_has(service, "Environment", "FDPASS_RETURN=no", ""))
                return "its service has FDPASS_RETURN=no. Remove that";
        if (route->transport == TRANSPORT_STREAM)
                return "this form has no metadata, which fdpass-preload.so needs for that. Use ListenSequentialPacket=";
        *ret_key = "Metadata";
        if (!route->metadata)
                return "fdpass-preload.so needs the metadata for that. Remove this line";

        return NULL;
}

static void verify_back_report(const VerifyBack *v, const RouteConfig *route) {
        OtherRequest other;
        char text[1024];

        if (!verify_back_find(v, route, &other))
                return;

        (void) snprintf(text, sizeof(text), "A client that keeps its connection sends requests for %.255s%.255s here too, "
                        "which %.255s takes on new connections. Give these paths a host of their own, or make the server close "
                        "connections after each response and remove this line.", other.host, other.path, other.route->unit);
        load_warn(route, "HandsBack", "no", text);
}

/* Does the same for a worker whose service can't hand clients back, as far as the units tell. */
static int verify_back_hint(const VerifyBack *v, const RouteConfig *route) {
        _cleanup_(unit_freep) Unit *service = NULL;
        const char *why, *key;
        OtherRequest other;
        char text[1024];
        int r;

        r = worker_service_load(v->path, route, &service);
        if (r < 0 || !service)
                return r;

        why = verify_back_find_reason(route, service, &key);
        if (!why || !verify_back_find(v, route, &other))
                return 0;

        (void) snprintf(text, sizeof(text), "A client that keeps its connection sends requests for %.255s%.255s here too, "
                        "which %.255s takes on new connections. The server can't hand it back, because %s.", other.host,
                        other.path, other.route->unit, why);
        load_note(route, key, streq(key, "Metadata") ? "none" : route->worker, text);
        return 0;
}

static int verify_back_check(const VerifyBack *v) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < v->config->n_routes; i++) {
                const RouteConfig *route = &v->config->routes[i];

                /* A response that a flusher begins ends with the connection. */
                if (route->match.name || route->flusher)
                        continue;
                if (!route->hands_back)
                        verify_back_report(v, route);
                else if (!route->transport_is_open)
                        r = verify_back_hint(v, route);
        }

        return r;
}

int verify_back(int root_fd, const Config *config) {
        _cleanup_(verify_back_done) VerifyBack v = { .config = config };
        Reporter silent = {};
        int r;

        r = load_make_index(config, &v.index);
        if (r >= 0)
                r = unit_path_new(root_fd, &silent, &v.path);

        return r < 0 ? r : verify_back_check(&v);
}
