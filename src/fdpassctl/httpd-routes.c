/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The routes of all files: which of them have units, and for which clients. */

#include "basic/utf8.h"
#include "fdpassctl/httpd.h"
#include "probe/http.h"

/* The clients that httpd lets in to one route, in one virtual host. */
typedef struct HttpdVerdict {
        const HttpdRule *rule; /* rule that decides; NULL: all clients */
        HttpdLetsIn lets_in;
        const char *where;     /* end of the first clause of a message */
} HttpdVerdict;

static void httpd_route_done(HttpdRoute *r) {
        strlist_clear(&r->hosts);
        strlist_clear(&r->sources);
        free(r->path);
        free(r->worker);
        free(r->flusher);
}

void httpd_routes_done(HttpdRoutes *routes) {
        for (size_t i = 0; i < routes->n_items; i++)
                httpd_route_done(&routes->items[i]);

        httpd_access_done(&routes->access);
        free(routes->items);
        *routes = (HttpdRoutes){};
}

typedef enum HttpdCovers {
        HTTPD_COVERS_NONE,
        HTTPD_COVERS_SOME,
        HTTPD_COVERS_ALL,
} HttpdCovers;

/* Returns which requests of the route the rule holds for. */
static HttpdCovers httpd_rule_covers_path(const HttpdRule *rule, const char *path) {
        Slice p = slice_from_string(path), q = slice_from_string(rule->path);
        bool is_around = rule->paths == HTTPD_PATHS_BELOW ? http_path_has_prefix(p, q) : !!startswith(path, rule->path);

        if (rule->paths == HTTPD_PATHS_ALL)
                return HTTPD_COVERS_ALL;
        if (is_around)
                return rule->paths == HTTPD_PATHS_UNKNOWN ? HTTPD_COVERS_SOME : HTTPD_COVERS_ALL;

        /* Below the route's path? Path= takes whole segments, so "^/chatter" is not below /chat. */
        return http_path_has_prefix(q, p) ? HTTPD_COVERS_SOME : HTTPD_COVERS_NONE;
}

/* Returns whether the condition @inner holds only if @outer does. */
static bool httpd_condition_is_inside(const HttpdAccess *a, size_t inner, size_t outer) {
        while (inner != outer && inner > 0)
                inner = a->conditions[inner];

        return inner == outer;
}

static bool httpd_sources_equal(const StringList *a, const StringList *b) {
        for (size_t i = 0; i < a->n_items; i++)
                if (!strlist_has(b, a->items[i]))
                        return false;

        return a->n_items == b->n_items;
}

static bool httpd_verdict_equal(const HttpdVerdict *v, HttpdLetsIn lets_in, const HttpdRule *rule) {
        if (v->lets_in != lets_in || lets_in == HTTPD_LETS_IN_OTHER)
                return false;

        return lets_in == HTTPD_LETS_IN_ALL || httpd_sources_equal(&v->rule->sources, &rule->sources);
}

/* Merges the rule into the verdict, as httpd merges a section into those before it. */
static void httpd_verdict_merge(HttpdVerdict *v, const HttpdAccess *a, const HttpdRule *rule, const HttpdRoute *route) {
        HttpdCovers covers = httpd_rule_covers_path(rule, route->path);
        bool is_certain = rule->rank != HTTPD_RANK_IF &&
                          httpd_condition_is_inside(a, route->condition, rule->condition);

        if (covers == HTTPD_COVERS_NONE)
                return;

        if (covers == HTTPD_COVERS_ALL && is_certain)
                *v = (HttpdVerdict){ .rule = rule, .lets_in = rule->lets_in, .where = "" };
        else if (!httpd_verdict_equal(v, rule->lets_in, rule))
                *v = (HttpdVerdict){
                        .rule = rule, .lets_in = HTTPD_LETS_IN_OTHER,
                        .where = is_certain ? ", for some of the paths only" : ", under a condition",
                };
}

/* Returns the clients that httpd lets in to the paths of the route, in the virtual host @host. */
static HttpdVerdict httpd_judge(const HttpdAccess *a, const HttpdRoute *route, size_t host) {
        HttpdVerdict v = { .where = "" };

        for (HttpdRank rank = HTTPD_RANK_SERVER; rank <= HTTPD_RANK_IF; rank++)
                for (size_t i = 0; i < 2 * a->n_rules; i++) {
                        const HttpdRule *rule = &a->rules[i % a->n_rules];

                        /* The server's come first. */
                        if (!rule->is_final && rule->rank == rank &&
                            (i < a->n_rules ? rule->host == 0 : host > 0 && rule->host == host))
                                httpd_verdict_merge(&v, a, rule, route);
                }

        for (size_t i = 0; i < a->n_rules; i++)
                if (a->rules[i].is_final && (a->rules[i].host == 0 || a->rules[i].host == host) &&
                    httpd_rule_covers_path(&a->rules[i], route->path) != HTTPD_COVERS_NONE)
                        v = (HttpdVerdict){ .rule = &a->rules[i], .lets_in = HTTPD_LETS_IN_OTHER, .where = "" };

        return v;
}

static bool httpd_names_meet(const char *a, const char *b) {
        return streq(a, b) || (startswith(a, "*.") && endswith(b, a + 1)) ||
               (startswith(b, "*.") && endswith(a, b + 1));
}

static bool httpd_hosts_meet(const HttpdHost *a, const HttpdHost *b) {
        for (size_t i = 0; i < a->names.n_items; i++)
                for (size_t k = 0; k < b->names.n_items; k++)
                        if (httpd_names_meet(a->names.items[i], b->names.items[k]))
                                return true;

        return b->has_others;
}

/*
 * Returns whether the unit of the route may take a request that httpd gives to the virtual host @k. httpd chooses
 * virtual hosts by the address. Of those, it takes the first one that has the name. The unit ignores the address.
 */
static bool httpd_route_meets_host(const HttpdAccess *a, const HttpdRoute *route, size_t k) {
        const HttpdHost *mine = &a->hosts[route->host], *other = &a->hosts[k];
        bool has_same_address;

        if (route->host == k || route->host == 0)
                return true;
        if (k == 0)
                return mine->addresses[0] != '*' && !startswith(mine->addresses, "_default_");
        if (mine->names.n_items == 0)
                return true;

        has_same_address = streq(mine->addresses, other->addresses);
        if (other->names.n_items == 0 && !other->has_others)
                return !has_same_address;
        return (k < route->host || !has_same_address) && httpd_hosts_meet(mine, other);
}

/* Returns the clients that httpd lets in to the route, if all virtual hosts that it meets agree. */
static HttpdVerdict httpd_judge_all(const HttpdAccess *a, const HttpdRoute *route) {
        HttpdVerdict mine = httpd_judge(a, route, route->host);

        for (size_t k = 0; k < a->n_hosts && mine.lets_in != HTTPD_LETS_IN_OTHER; k++) {
                HttpdVerdict other;

                if (!httpd_route_meets_host(a, route, k))
                        continue;

                other = httpd_judge(a, route, k);
                if (!httpd_verdict_equal(&mine, other.lets_in, other.rule))
                        mine = (HttpdVerdict){
                                .rule = other.rule ?: mine.rule, .lets_in = HTTPD_LETS_IN_OTHER,
                                .where = ", in some of the virtual hosts only",
                        };
        }

        return mine;
}

static void httpd_say_verdict(const HttpdVerdict *v, const HttpdRoute *route, HttpdSay say) {
        const HttpdRule *rule = v->rule;
        char message[512];

        (void) snprintf(message, sizeof(message),
                        "\"%s\" %s%s; a unit can't express that; no unit is printed for line %u%s.", rule->directive,
                        rule->is_guess ? "may keep clients out in httpd" :
                        rule->lets_in == HTTPD_LETS_IN_ALL ? "lets in clients that other lines keep out in httpd" :
                        "keeps clients out in httpd", v->where, route->line,
                        rule->userdata == route->userdata ? "" : " of another file");
        utf8_mask(message);
        say(rule->userdata, rule->line, message);
}

/* Sets the sources of the route. Returns 1, 0 if it has no unit, or -ENOMEM. */
static int httpd_set_sources(const HttpdAccess *a, HttpdRoute *route, HttpdSay say) {
        HttpdVerdict v = httpd_judge_all(a, route);
        char message[256];
        int r = 0;

        if (v.lets_in == HTTPD_LETS_IN_OTHER) {
                httpd_say_verdict(&v, route, say);
                return 0;
        }
        if (v.lets_in == HTTPD_LETS_IN_SOURCES && a->remote_ip) {
                (void) snprintf(message, sizeof(message),
                                "httpd compares the address that %s sets; a unit can't express that; "
                                "no unit is printed for line %u.", a->remote_ip, route->line);
                utf8_mask(message);
                say(v.rule->userdata, v.rule->line, message);
                return 0;
        }

        for (size_t i = 0; v.lets_in == HTTPD_LETS_IN_SOURCES && i < v.rule->sources.n_items && r >= 0; i++)
                r = strlist_add(&route->sources, v.rule->sources.items[i]);
        return r < 0 ? r : 1;
}

int httpd_finish(HttpdRoutes *routes, HttpdSay say) {
        size_t n = routes->n_items;

        routes->n_items = 0;
        for (size_t i = 0; i < n; i++) {
                int r = httpd_set_sources(&routes->access, &routes->items[i], say);

                if (r > 0) {
                        HttpdRoute route = routes->items[i];

                        routes->items[i] = (HttpdRoute){};
                        routes->items[routes->n_items++] = route;
                        continue;
                }

                httpd_route_done(&routes->items[i]);
                routes->items[i] = (HttpdRoute){};
                if (r < 0) {
                        routes->n_items = n; /* those that are done are empty */
                        return r;
                }
        }

        return 0;
}

int httpd_parse(const char *text, size_t n, const char *server_root, HttpdSay f, void *userdata, HttpdRoutes *ret) {
        int r;

        *ret = (HttpdRoutes){};
        r = httpd_read(ret, text, n, server_root, f, userdata);
        if (r >= 0)
                r = httpd_finish(ret, f);
        if (r < 0)
                httpd_routes_done(ret);
        return r;
}
