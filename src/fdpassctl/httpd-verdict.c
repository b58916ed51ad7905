/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The clients that httpd lets in to a route: Source= of its unit, or none where Source= can't express them. */

#include <stdio.h>

#include "basic/utf8.h"
#include "fdpassctl/httpd-config.h"
#include "probe/http.h"

/* The clients that httpd lets in to one route, in one virtual host. */
typedef struct HttpdVerdict {
        const HttpdRule *rule; /* rule that decides; NULL: all clients */
        HttpdLetsIn lets_in;
        const char *where;     /* end of the first clause of a message */
} HttpdVerdict;

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
        HttpdCovers covers = httpd_rule_covers_path(rule, route->paths.items[0]);
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

/* Returns the clients that httpd lets in to the one path of the route, in the virtual host @host. */
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
                    httpd_rule_covers_path(&a->rules[i], route->paths.items[0]) != HTTPD_COVERS_NONE)
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

/* Writes "line 3" or, where the line has several paths, "line 3 (/x)". */
static void httpd_name_route(const HttpdConfig *c, const HttpdRoute *route, const HttpdPlace *from,
                             char ret[static 2 * HTTPD_PLACE_MAX]) {
        bool has_paths = c->entries[route->entry].n_areas > 1;
        char place[HTTPD_PLACE_MAX];

        (void) snprintf(ret, 2 * HTTPD_PLACE_MAX, "%s%s%.100s%s", httpd_place(&route->place, from, place),
                        has_paths ? " (" : "", has_paths ? route->paths.items[0] : "", has_paths ? ")" : "");
}

static void httpd_say_verdict(const HttpdConfig *c, const HttpdVerdict *v, const HttpdRoute *route) {
        const HttpdRule *rule = v->rule;
        char name[2 * HTTPD_PLACE_MAX];

        httpd_name_route(c, route, &rule->place, name);
        httpd_say(c, &rule->place, "\"%s\" %s%s; a unit can't express that; no unit is printed for %s.",
                  rule->directive,
                  rule->is_guess ? "may keep clients out in httpd" :
                  rule->lets_in == HTTPD_LETS_IN_ALL ? "lets in clients that other lines keep out in httpd" :
                  "keeps clients out in httpd", v->where, name);
}

int httpd_set_sources(const HttpdConfig *c, HttpdRoute *route, bool may_say) {
        const HttpdAccess *a = &c->access;
        HttpdVerdict v = httpd_judge_all(a, route);
        char name[2 * HTTPD_PLACE_MAX];
        int r = 0;

        if (v.lets_in == HTTPD_LETS_IN_OTHER) {
                if (may_say)
                        httpd_say_verdict(c, &v, route);
                return 0;
        }
        if (v.lets_in == HTTPD_LETS_IN_SOURCES && a->remote_ip) {
                httpd_name_route(c, route, &v.rule->place, name);
                if (may_say)
                        httpd_say(c, &v.rule->place, "httpd compares the address that %s sets; a unit can't express "
                                                     "that; no unit is printed for %s.", a->remote_ip, name);
                return 0;
        }

        for (size_t i = 0; v.lets_in == HTTPD_LETS_IN_SOURCES && i < v.rule->sources.n_items && r >= 0; i++)
                r = strlist_add(&route->sources, v.rule->sources.items[i]);
        return r < 0 ? r : 1;
}
