/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The routes of a configuration. Each virtual host has units with Host=. The first one of an address gets the clients
 * that name no virtual host, too: its units without Host= take them. Those are there only if no other virtual host loses
 * clients to them.
 */

#include <ctype.h>

#include "basic/array.h"
#include "fdpassctl/httpd-plan.h"
#include "fdpassctl/httpd.h"
#include "probe/http.h"

/* One virtual host at one group of addresses. */
typedef struct RoutesHost {
        HttpdServer *server;
        StringList names; /* names for which httpd chooses it, and not an earlier one */
        const HttpdPlan *plan;
} RoutesHost;

typedef struct RoutesGroup {
        HttpdConfig *c;
        const HttpdPlan *plans; /* of all servers */
        size_t index;
        RoutesHost *hosts; /* in the order of httpd */
        size_t n_hosts;
} RoutesGroup;

void httpd_route_done(HttpdRoute *r) {
        strlist_clear(&r->listeners);
        strlist_clear(&r->hosts);
        strlist_clear(&r->paths);
        strlist_clear(&r->sources);
        free(r->worker);
        *r = (HttpdRoute){};
}

void httpd_routes_done(HttpdRoutes *routes) {
        for (size_t i = 0; i < routes->n_items; i++)
                httpd_route_done(&routes->items[i]);

        free(routes->items);
        *routes = (HttpdRoutes){};
}

static void routes_group_done(RoutesGroup *g) {
        for (size_t i = 0; i < g->n_hosts; i++)
                strlist_clear(&g->hosts[i].names);
        free(g->hosts);
}

static void routes_remove(HttpdRoutes *routes, size_t i) {
        httpd_route_done(&routes->items[i]);
        memmove(&routes->items[i], &routes->items[i + 1], (--routes->n_items - i) * sizeof(*routes->items));
}

static bool routes_lists_equal(const StringList *a, const StringList *b) {
        for (size_t i = 0; i < a->n_items; i++)
                if (!strlist_has(b, a->items[i]))
                        return false;

        return a->n_items == b->n_items;
}

/* Returns whether httpd matches the name with "*" and "?" in @glob. */
static bool routes_glob_matches(const char *glob, const char *name) {
        for (; *glob; glob++, name++) {
                if (*glob == '*') {
                        for (; *name; name++)
                                if (routes_glob_matches(glob + 1, name))
                                        return true;
                        return routes_glob_matches(glob + 1, name);
                }
                if (!*name || (*glob != '?' && tolower((unsigned char) *glob) != *name))
                        return false;
        }

        return !*name;
}

/* Returns whether all hosts of @name (a value of Host=) match @wider, another one. */
static bool routes_name_is_inside(const char *name, const char *wider) {
        return streq(name, wider) || (startswith(wider, "*.") && endswith(name, wider + 1));
}

/* Returns whether httpd chooses an earlier virtual host for the name, or may do so for hosts of a wildcard. */
static bool routes_name_is_taken(const HttpdConfig *c, const HttpdServer *earlier, const HttpdServer *s, const char *name) {
        for (size_t i = 0; i < earlier->names.n_items; i++)
                if (routes_name_is_inside(name, earlier->names.items[i]))
                        return true;

        for (size_t i = 0; i < earlier->globs.n_items; i++) {
                if (routes_glob_matches(earlier->globs.items[i], name))
                        return true;
                if (startswith(name, "*.")) {
                        httpd_say(c, &s->place, "No unit has Host=%s, because it would take hosts that httpd gives to \"%.80s\".",
                                  name, earlier->globs.items[i]);
                        return true;
                }
        }

        return false;
}

static int routes_find_names(RoutesGroup *g, RoutesHost *h) {
        const StringList *all = &h->server->names;
        int r = 0;

        for (size_t i = 0; i < all->n_items && r >= 0; i++) {
                bool is_taken = false;

                for (const RoutesHost *k = g->hosts; k < h && !is_taken; k++)
                        is_taken = routes_name_is_taken(g->c, k->server, h->server, all->items[i]);
                if (!is_taken)
                        r = strlist_add(&h->names, all->items[i]);
        }

        return r;
}

/* Adds a host to the group. Server 0 stands for the server itself, where no virtual host has the address. */
static int routes_add_host(RoutesGroup *g, size_t server) {
        RoutesHost *h;

        if (!ARRAY_GROW(g->hosts, g->n_hosts))
                return -ENOMEM;

        h = &g->hosts[g->n_hosts++];
        *h = (RoutesHost){ .server = &g->c->servers[server], .plan = &g->plans[server] };
        return server > 0 ? routes_find_names(g, h) : 0;
}

static int routes_make_group(HttpdConfig *c, size_t index, RoutesGroup *ret) {
        const HttpdGroup *group = &c->groups[index];
        int r = group->n_servers == 0 ? routes_add_host(ret, 0) : 0;

        for (size_t i = 0; i < group->n_servers && r >= 0; i++)
                r = routes_add_host(ret, group->servers[i]);

        return r;
}

/* Makes a route. Returns 1, 0 if httpd keeps clients out that the unit would let in, or -ENOMEM. */
static int routes_make(const RoutesGroup *g, const RoutesHost *h, const HttpdItem *item, bool is_default, HttpdRoute *ret) {
        HttpdEntry *e = &g->c->entries[item->entry];
        int r;

        *ret = (HttpdRoute){
                .place = e->place, .flusher = e->flusher, .condition = e->condition, .entry = item->entry, .group = g->index,
                .worker = strdup(item->worker), .host = g->c->servers[e->server].host, .is_default = is_default,
                .name = e->server > 0 && h->server->names.n_items > 0 ? h->server->names.items[0] : "", .n_groups = 1,
        };
        r = ret->worker ? 0 : -ENOMEM;
        for (size_t i = 0; i < item->paths.n_items && r >= 0; i++)
                r = strlist_add(&ret->paths, item->paths.items[i]);
        for (size_t i = 0; i < h->names.n_items && r >= 0 && !is_default; i++)
                r = strlist_add(&ret->hosts, h->names.items[i]);
        for (size_t i = 0; i < g->c->groups[g->index].listeners.n_items && r >= 0 && g->c->n_groups > 1; i++)
                r = strlist_add(&ret->listeners, g->c->groups[g->index].listeners.items[i]);

        if (r >= 0)
                r = httpd_set_sources(g->c, ret, !e->is_held && !(is_default && h->names.n_items > 0));
        e->is_held |= r == 0;
        if (r <= 0)
                httpd_route_done(ret);
        return r;
}

static int routes_append(HttpdRoutes *routes, HttpdRoute *route) {
        if (!ARRAY_GROW(routes->items, routes->n_items)) {
                httpd_route_done(route);
                return -ENOMEM;
        }

        routes->items[routes->n_items++] = *route;
        *route = (HttpdRoute){};
        return 0;
}

/* Returns whether both are units for the same line, socket and paths. */
static bool routes_are_alike(const HttpdRoute *a, const HttpdRoute *b) {
        return a->entry == b->entry && streq(a->worker, b->worker) && routes_lists_equal(&a->paths, &b->paths) &&
               routes_lists_equal(&a->sources, &b->sources);
}

/* Adds the route. A line of the server is one unit for all virtual hosts. */
static int routes_add(HttpdRoutes *routes, HttpdRoute *route) {
        for (size_t i = 0; i < routes->n_items && route->host == 0 && route->hosts.n_items > 0; i++) {
                HttpdRoute *mine = &routes->items[i];
                int r = 0;

                if (mine->group != route->group || mine->hosts.n_items == 0 || !routes_are_alike(mine, route))
                        continue;

                for (size_t k = 0; k < route->hosts.n_items && r >= 0; k++)
                        r = strlist_has(&mine->hosts, route->hosts.items[k]) ? 0 :
                            strlist_add(&mine->hosts, route->hosts.items[k]);
                httpd_route_done(route);
                return r;
        }

        return routes_append(routes, route);
}

/* Adds the units with Host=. */
static int routes_add_named(HttpdRoutes *routes, const RoutesGroup *g) {
        for (const RoutesHost *h = g->hosts; h < g->hosts + g->n_hosts; h++)
                for (size_t i = 0; i < h->plan->n_items && h->names.n_items > 0; i++) {
                        HttpdRoute route;
                        int r = routes_make(g, h, &h->plan->items[i], false, &route);

                        if (r > 0)
                                r = routes_add(routes, &route);
                        if (r < 0)
                                return r;
                }

        return 0;
}

static bool routes_path_is_below(const StringList *outer, const char *path) {
        for (size_t i = 0; i < outer->n_items; i++)
                if (http_path_has_prefix(slice_from_string(path), slice_from_string(outer->items[i])))
                        return true;

        return false;
}

/* Returns whether a unit takes all clients of the host and the path. */
static bool routes_have(const HttpdRoutes *routes, size_t group, const char *host, const char *path) {
        for (size_t i = 0; i < routes->n_items; i++) {
                const HttpdRoute *r = &routes->items[i];

                if (r->group == group && r->sources.n_items == 0 && strlist_has(&r->hosts, host) &&
                    routes_path_is_below(&r->paths, path))
                        return true;
        }

        return false;
}

/* Returns whether the host gives the path to the same line. */
static bool routes_host_has_item(const RoutesHost *h, const HttpdItem *item, const char *path) {
        for (size_t i = 0; i < h->plan->n_items; i++)
                if (h->plan->items[i].entry == item->entry && streq(h->plan->items[i].worker, item->worker) &&
                    strlist_has(&h->plan->items[i].paths, path))
                        return true;

        return false;
}

/* Returns whether a unit without Host= for the item would take clients of the host that httpd does not give it. */
static bool routes_host_loses(const HttpdRoutes *routes, const RoutesGroup *g, const RoutesHost *h, const HttpdItem *item) {
        for (size_t i = 0; i < item->paths.n_items; i++) {
                bool is_same = routes_host_has_item(h, item, item->paths.items[i]);

                for (size_t k = 0; k < h->names.n_items && !is_same; k++)
                        if (!routes_have(routes, g->index, h->names.items[k], item->paths.items[i]))
                                return true;
                if ((h->server->globs.n_items > 0 || h->server->has_machine) && !is_same)
                        return true;
        }

        return false;
}

/* Finds a host inside the wildcard that has no unit for a path of the route; NULL: none. */
static const char *routes_find_lost_name(const HttpdRoutes *routes, const RoutesGroup *g, const HttpdRoute *r, const char *wildcard) {
        for (const RoutesHost *h = g->hosts; h < g->hosts + g->n_hosts; h++)
                for (size_t i = 0; i < h->names.n_items; i++) {
                        const char *name = h->names.items[i];

                        if (strlist_has(&r->hosts, name) || !routes_name_is_inside(name, wildcard))
                                continue;
                        for (size_t k = 0; k < r->paths.n_items; k++)
                                if (!routes_have(routes, g->index, name, r->paths.items[k]))
                                        return name;
                }

        return NULL;
}

/* Removes a wildcard that would take clients of a virtual host with a longer name. Returns whether there was one. */
static bool routes_remove_wildcard(HttpdRoutes *routes, const RoutesGroup *g) {
        for (size_t i = 0; i < routes->n_items; i++)
                for (size_t k = 0; k < routes->items[i].hosts.n_items; k++) {
                        HttpdRoute *r = &routes->items[i];
                        const char *wildcard = r->hosts.items[k], *name = NULL;

                        if (wildcard[0] == '*' && r->group == g->index)
                                name = routes_find_lost_name(routes, g, r, wildcard);
                        if (!name)
                                continue;

                        httpd_say(g->c, &r->place, "The unit of this line has no Host=%s, because it would take paths of %s that "
                                                   "httpd does not give it.", wildcard, name);
                        strlist_remove(&r->hosts, k);
                        if (r->hosts.n_items == 0)
                                routes_remove(routes, i);
                        return true;
                }

        return false;
}

static const RoutesHost *routes_find_loser(const HttpdRoutes *routes, const RoutesGroup *g, const HttpdItem *item) {
        for (size_t i = 1; i < g->n_hosts; i++)
                if (routes_host_loses(routes, g, &g->hosts[i], item))
                        return &g->hosts[i];

        return NULL;
}

/* Says why the line has no unit without Host=. @loser is NULL if virtual hosts let in other clients. */
static void routes_say_no_default(const RoutesGroup *g, const RoutesHost *loser, HttpdEntry *e) {
        const HttpdServer *s = loser ? loser->server : NULL;

        if (e->is_default_said)
                return;

        e->is_default_said = true;
        httpd_say(g->c, &e->place, "httpd also gives this line clients that name none of the virtual hosts (unknown hosts, addresses, "
                                   "no Host). %s, because without Host= it would take %s%.80s that httpd does not give it.",
                  g->hosts[0].names.n_items > 0 ? "The unit does not" : "No unit is printed", loser ? "paths of " : "clients",
                  !loser ? "" : loser->names.n_items > 0 ? loser->names.items[0] : s->globs.n_items > 0 ? s->globs.items[0] :
                  "the virtual host without ServerName");
}

/* Adds the units without Host= of the first virtual host, or of the server itself. */
static int routes_add_default(HttpdRoutes *routes, const RoutesGroup *g) {
        const RoutesHost *h = &g->hosts[0];

        for (size_t i = 0; i < h->plan->n_items; i++) {
                const HttpdItem *item = &h->plan->items[i];
                const RoutesHost *loser = routes_find_loser(routes, g, item);
                HttpdRoute route;
                int r = 0;

                if (!loser)
                        r = routes_make(g, h, item, true, &route);
                if (r == 0 && (loser || h->names.n_items > 0))
                        routes_say_no_default(g, loser, &g->c->entries[item->entry]);
                if (r > 0)
                        r = routes_append(routes, &route);
                if (r < 0)
                        return r;
        }

        return 0;
}

static bool routes_hosts_meet(const HttpdRoute *a, const HttpdRoute *b) {
        for (size_t i = 0; i < a->hosts.n_items; i++)
                for (size_t k = 0; k < b->hosts.n_items; k++)
                        if (routes_name_is_inside(a->hosts.items[i], b->hosts.items[k]) ||
                            routes_name_is_inside(b->hosts.items[k], a->hosts.items[i]))
                                return true;

        return false;
}

/* Returns whether a path of @inner is a path of @outer or below it. */
static bool routes_paths_meet(const StringList *outer, const StringList *inner) {
        for (size_t i = 0; i < inner->n_items; i++)
                if (routes_path_is_below(outer, inner->items[i]))
                        return true;

        return false;
}

/*
 * Returns whether @r takes clients from @named, which has Host=, if @named goes. Then a unit without Host= serves its
 * clients, if no other one comes first.
 */
static bool routes_comes_between(const RoutesGroup *g, const HttpdRoute *named, const HttpdRoute *r) {
        bool is_of_first = true;

        if (r == named || r->group != named->group)
                return false;
        if (!r->is_default)
                return routes_hosts_meet(r, named) && routes_paths_meet(&r->paths, &named->paths);

        for (size_t i = 0; i < named->hosts.n_items; i++)
                is_of_first &= strlist_has(&g->hosts[0].names, named->hosts.items[i]);

        return !is_of_first && !routes_are_alike(r, named) && routes_paths_meet(&named->paths, &r->paths);
}

static HttpdRoute *routes_find_default(const HttpdRoutes *routes, const HttpdRoute *named) {
        for (size_t i = 0; i < routes->n_items; i++)
                if (routes->items[i].is_default && routes->items[i].group == named->group &&
                    routes_are_alike(&routes->items[i], named))
                        return &routes->items[i];

        return NULL;
}

/* Removes a unit with Host= for which a unit without does the same. Returns whether there was one. */
static bool routes_remove_redundant(HttpdRoutes *routes, const RoutesGroup *g) {
        for (size_t i = 0; i < routes->n_items; i++) {
                HttpdRoute *named = &routes->items[i];
                bool is_needed = named->is_default || named->group != g->index || !routes_find_default(routes, named);

                for (size_t k = 0; k < routes->n_items && !is_needed; k++)
                        is_needed = routes_comes_between(g, named, &routes->items[k]);
                if (!is_needed) {
                        routes_remove(routes, i);
                        return true;
                }
        }

        return false;
}

static int routes_add_group(HttpdConfig *c, const HttpdPlan *plans, size_t index, HttpdRoutes *routes) {
        _cleanup_(routes_group_done) RoutesGroup g = { .c = c, .plans = plans, .index = index };
        int r = routes_make_group(c, index, &g);

        for (size_t i = 0; i < g.n_hosts; i++) {
                HttpdServer *s = g.hosts[i].server;

                s->is_reached = true;
                s->is_first |= i == 0;
                s->is_chosen |= i == 0 || g.hosts[i].names.n_items > 0;
        }

        if (r >= 0)
                r = routes_add_named(routes, &g);
        while (r >= 0 && routes_remove_wildcard(routes, &g))
                ;
        if (r >= 0)
                r = routes_add_default(routes, &g);
        while (r >= 0 && routes_remove_redundant(routes, &g))
                ;

        for (size_t i = 0; i < routes->n_items; i++) {
                HttpdRoute *d = routes->items[i].is_default ? NULL : routes_find_default(routes, &routes->items[i]);

                if (d)
                        d->name = "default";
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

                        if (!routes_are_alike(a, b) || !routes_lists_equal(&a->hosts, &b->hosts))
                                continue;
                        for (size_t l = 0; l < b->listeners.n_items && r >= 0; l++)
                                r = strlist_has(&a->listeners, b->listeners.items[l]) ? 0 :
                                    strlist_add(&a->listeners, b->listeners.items[l]);
                        a->n_groups += b->n_groups;
                        routes_remove(routes, k);
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
                                httpd_say(c, place, "Only clients of some addresses come here in httpd. Listener=%s is %s: the "
                                          "public socket there needs FileDescriptorName=%s.",
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
                        httpd_say(c, &c->servers[s].place, "httpd gives this virtual host the name of the machine, because it has no "
                                  "ServerName. No unit has that name.");
                else if (has_lines && !c->servers[s].is_chosen)
                        httpd_say(c, &c->servers[s].place, "httpd never chooses this virtual host, because earlier ones have its "
                                  "names, or it listens elsewhere; no unit is printed for its lines.");
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

        return r < 0 ? r : routes_merge(c, ret);
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
