/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The routes of a configuration: those of each group of addresses, and then what the groups have in common. */

#include "fdpassctl/httpd-candidates.h"
#include "fdpassctl/httpd.h"

/* Adds the route. A line of the server is one unit for all virtual hosts. */
static int routes_add(HttpdRoutes *routes, HttpdRoute *route) {
        for (size_t i = 0; i < routes->n_items && route->host == 0 && route->hosts.n_items > 0; i++) {
                HttpdRoute *mine = &routes->items[i];
                int r = 0;

                if (mine->group != route->group || mine->hosts.n_items == 0 || !httpd_routes_are_alike(mine, route))
                        continue;

                for (size_t k = 0; k < route->hosts.n_items && r >= 0; k++)
                        r = strlist_has(&mine->hosts, route->hosts.items[k]) ? 0 :
                            strlist_add(&mine->hosts, route->hosts.items[k]);
                httpd_route_done(route);
                return r;
        }

        return httpd_routes_append(routes, route);
}

static void routes_say_around(const HttpdCandidates *g, const HttpdCandidate *h, size_t item, size_t lost) {
        const HttpdPlace *place = &g->c->entries[h->plan->items[item].entry].place;
        char other[HTTPD_PLACE_MAX];

        httpd_say(g->c, place, "A unit of this line would take \"%.80s\" of %s, which has no unit; no unit is printed "
                               "in this virtual host (%.80s).", h->plan->items[lost].path,
                  httpd_place(&g->c->entries[h->plan->items[lost].entry].place, place, other), h->names.items[0]);
}

/* Adds the units with Host= of one virtual host. */
static int routes_add_host(HttpdRoutes *routes, const HttpdCandidates *g, const HttpdCandidate *h) {
        _cleanup_free_ HttpdRoute *made = calloc(h->plan->n_items + 1, sizeof(*made));
        size_t around, lost;
        int r = made ? 0 : -ENOMEM;

        for (size_t i = 0; i < h->plan->n_items && r >= 0; i++)
                r = httpd_route_make(g, h, &h->plan->items[i], false, &made[i]);
        while (r >= 0 && (around = httpd_routes_find_around(h, made, &lost)) < h->plan->n_items)
                routes_say_around(g, h, around, lost);

        for (size_t i = 0; i < h->plan->n_items && made; i++)
                if (r >= 0 && made[i].worker)
                        r = routes_add(routes, &made[i]);
                else
                        httpd_route_done(&made[i]);

        return MIN(r, 0);
}

/* Adds the units with Host=. */
static int routes_add_named(HttpdRoutes *routes, const HttpdCandidates *g) {
        int r = 0;

        for (size_t i = 0; i < g->n_items && r >= 0; i++)
                if (g->items[i].names.n_items > 0)
                        r = routes_add_host(routes, g, &g->items[i]);

        return r;
}

static int routes_add_group(HttpdConfig *c, const HttpdPlan *plans, size_t index, HttpdRoutes *routes) {
        _cleanup_(httpd_candidates_done) HttpdCandidates g = { .c = c, .plans = plans, .group = index };
        int r = httpd_candidates_find(&g);

        for (size_t i = 0; i < g.n_items; i++) {
                HttpdServer *s = g.items[i].server;

                s->is_reached = true;
                s->is_first |= i == 0;
                s->is_chosen |= i == 0 || g.items[i].names.n_items > 0 || g.items[i].has_lost;
        }

        if (r >= 0)
                r = routes_add_named(routes, &g);

        httpd_routes_remove_wildcards(routes, &g);
        if (r >= 0)
                r = httpd_routes_add_defaults(routes, &g);
        return r;
}

/* Makes one unit of those that differ in Path= only. */
static int routes_join_paths(HttpdRoutes *routes) {
        int r = 0;

        for (size_t i = 0; i < routes->n_items; i++)
                for (size_t k = i + 1; k < routes->n_items && r >= 0;) {
                        HttpdRoute *a = &routes->items[i], *b = &routes->items[k];

                        if (a->entry != b->entry || !streq(a->worker, b->worker) ||
                            !httpd_lists_equal(&a->hosts, &b->hosts) ||
                            !httpd_lists_equal(&a->listeners, &b->listeners) ||
                            !httpd_lists_equal(&a->sources, &b->sources)) {
                                k++;
                                continue;
                        }

                        r = strlist_add(&a->paths, b->paths.items[0]);
                        httpd_routes_remove(routes, k);
                }

        return r;
}

/* Makes equal units of several groups one. One that all of them have needs no Listener=. */
static int routes_merge(const HttpdConfig *c, HttpdRoutes *routes) {
        int r = 0;

        for (size_t i = 0; i < routes->n_items && r >= 0; i++) {
                HttpdRoute *a = &routes->items[i];

                for (size_t k = routes->n_items - 1; k > i && r >= 0; k--) {
                        HttpdRoute *b = &routes->items[k];

                        if (!httpd_routes_are_alike(a, b) || !httpd_lists_equal(&a->hosts, &b->hosts))
                                continue;
                        for (size_t l = 0; l < b->listeners.n_items && r >= 0; l++)
                                r = strlist_has(&a->listeners, b->listeners.items[l]) ? 0 :
                                    strlist_add(&a->listeners, b->listeners.items[l]);
                        a->n_groups += b->n_groups;
                        httpd_routes_remove(routes, k);
                }
                if (a->n_groups == c->n_groups)
                        strlist_clear(&a->listeners);
        }

        return r;
}

static void routes_say_listener(const HttpdConfig *c, const HttpdPlace *place, const char *name) {
        for (size_t i = 0; i < c->n_groups; i++)
                for (size_t k = 0; k < c->groups[i].listeners.n_items; k++)
                        if (streq(c->groups[i].listeners.items[k], name))
                                httpd_say(c, place, "Only clients of some addresses come here in httpd. Listener=%s is "
                                                    "%s: the public socket there needs FileDescriptorName=%s.",
                                          name, c->groups[i].addresses.items[k], name);
}

/* Says once of each name in Listener= what it stands for. */
static void routes_say_listeners(const HttpdConfig *c, const HttpdRoutes *routes) {
        for (size_t i = 0; i < routes->n_items; i++)
                for (size_t k = 0; k < routes->items[i].listeners.n_items; k++) {
                        const char *name = routes->items[i].listeners.items[k];
                        bool is_new = true;

                        for (size_t j = 0; j < i && is_new; j++)
                                is_new = !strlist_has(&routes->items[j].listeners, name);
                        if (is_new)
                                routes_say_listener(c, &routes->items[i].place, name);
                }
}

/* Names virtual hosts whose lines httpd never comes to, or for a name that no unit has. */
static void routes_say_hosts(const HttpdConfig *c) {
        for (size_t s = 1; s < c->n_servers; s++) {
                bool has_lines = false;

                for (size_t i = 0; i < c->n_entries; i++)
                        has_lines |= c->entries[i].server == s && c->entries[i].is_fd;
                if (has_lines && c->servers[s].has_machine && c->servers[s].is_reached && !c->servers[s].is_first)
                        httpd_say(c, &c->servers[s].place, "httpd gives this virtual host the name of the machine, "
                                                           "because it has no ServerName. No unit has that name.");
                else if (has_lines && !c->servers[s].is_chosen)
                        httpd_say(c, &c->servers[s].place, "httpd never chooses this virtual host, because earlier "
                                                           "ones have its names, or it listens elsewhere; no unit is "
                                                           "printed for its lines.");
        }
}

/* A virtual host without ServerName has that of the server. */
static int routes_inherit_names(HttpdConfig *c) {
        int r = 0;

        for (size_t s = 1; s < c->n_servers && r >= 0; s++) {
                c->servers[s].has_machine = !c->servers[s].has_name && !c->servers[0].has_name;
                for (size_t i = 0; i < c->servers[0].names.n_items && r >= 0 && !c->servers[s].has_name; i++)
                        if (!strlist_has(&c->servers[s].names, c->servers[0].names.items[i]))
                                r = strlist_add(&c->servers[s].names, c->servers[0].names.items[i]);
        }

        return r;
}

static int routes_make_all(HttpdConfig *c, HttpdPlan *plans, HttpdRoutes *ret) {
        int r = 0;

        for (size_t i = 0; i < c->n_servers && r >= 0; i++)
                r = httpd_plan_make(c, i, &plans[i]);
        for (size_t i = 0; i < c->n_groups && r >= 0; i++)
                r = routes_add_group(c, plans, i, ret);

        if (r >= 0)
                r = routes_merge(c, ret);
        return r < 0 ? r : routes_join_paths(ret);
}

int httpd_config_finish(HttpdConfig *c, HttpdRoutes *ret) {
        _cleanup_free_ HttpdPlan *plans = calloc(c->n_servers, sizeof(*plans));
        int r = plans ? routes_inherit_names(c) : -ENOMEM;

        *ret = (HttpdRoutes){};
        if (r >= 0)
                r = httpd_make_groups(c);
        if (r >= 0)
                r = routes_make_all(c, plans, ret);

        for (size_t i = 0; i < c->n_servers && plans; i++)
                httpd_plan_done(&plans[i]);
        if (r < 0) {
                httpd_routes_done(ret);
                return r;
        }

        routes_say_listeners(c, ret);
        routes_say_hosts(c);
        return 0;
}
