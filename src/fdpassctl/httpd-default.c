/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The first virtual host of an address gets the clients that name no virtual host, too: its units without Host= take
 * them. Those are there only if no other virtual host loses clients to them. The same holds for wildcards in Host=.
 */

#include <stdio.h>

#include "fdpassctl/httpd-candidates.h"
#include "probe/name.h"

/* Returns whether a unit takes all clients of the host and the path. */
static bool default_have(const HttpdRoutes *routes, size_t group, const char *host, const char *path) {
        for (size_t i = 0; i < routes->n_items; i++) {
                const HttpdRoute *r = &routes->items[i];

                if (r->group == group && r->sources.n_items == 0 && strlist_has(&r->hosts, host) &&
                    httpd_path_is_below(&r->paths, path))
                        return true;
        }

        return false;
}

/* Returns whether the host gives the path to the same line. */
static bool default_host_has_item(const HttpdCandidate *h, const HttpdItem *item) {
        for (size_t i = 0; i < h->plan->n_items; i++)
                if (h->plan->items[i].area == item->area)
                        return true;

        return false;
}

/* Returns whether a unit without Host= for the item would take clients of the host that httpd does not give it. */
static bool default_host_loses(const HttpdRoutes *routes, const HttpdCandidates *g, const HttpdCandidate *h,
                               const HttpdItem *item) {
        if (default_host_has_item(h, item))
                return false;

        for (size_t i = 0; i < h->names.n_items; i++)
                if (!default_have(routes, g->group, h->names.items[i], item->path))
                        return true;

        return h->server->globs.n_items > 0 || h->server->has_machine || h->has_lost;
}

/* Finds a host inside the wildcard that has no unit for a path of the route; NULL: none. */
static const char *default_find_lost_name(const HttpdRoutes *routes, const HttpdCandidates *g, const HttpdRoute *r,
                                          const char *wildcard) {
        for (const HttpdCandidate *h = g->items; h < g->items + g->n_items; h++)
                for (size_t i = 0; i < h->names.n_items; i++) {
                        const char *name = h->names.items[i];

                        if (strlist_has(&r->hosts, name) || !httpd_name_is_inside(name, wildcard))
                                continue;
                        for (size_t k = 0; k < r->paths.n_items; k++)
                                if (!default_have(routes, g->group, name, r->paths.items[k]))
                                        return name;
                }

        return NULL;
}

/* Removes the wildcard from the units of the path and those around it, because they would take its clients. */
static void default_drop_wildcard(HttpdRoutes *routes, const HttpdCandidates *g, const char *wildcard, const char *path,
                                  const char *name) {
        for (size_t i = routes->n_items; i-- > 0;) {
                HttpdRoute *r = &routes->items[i];

                if (r->group != g->group || !httpd_path_is_below(&r->paths, path))
                        continue;

                for (size_t k = r->hosts.n_items; k-- > 0;)
                        if (streq(r->hosts.items[k], wildcard)) {
                                httpd_say(g->c, &r->place, "The unit of this line has no Host=%s, because it would "
                                                           "take paths of %s that httpd does not give it.",
                                          wildcard, name);
                                strlist_remove(&r->hosts, k);
                        }
                if (r->hosts.n_items == 0)
                        httpd_routes_remove(routes, i);
        }
}

/* Removes a wildcard that would take clients of a virtual host with a longer name. Returns whether there was one. */
static bool default_remove_wildcard(HttpdRoutes *routes, const HttpdCandidates *g) {
        char wildcard[PROBE_NAME_MAX + 3], path[HTTPD_LINE_MAX];

        for (size_t i = 0; i < routes->n_items; i++)
                for (size_t k = 0; k < routes->items[i].hosts.n_items; k++) {
                        HttpdRoute *r = &routes->items[i];
                        const char *name = NULL;

                        if (r->hosts.items[k][0] == '*' && r->group == g->group)
                                name = default_find_lost_name(routes, g, r, r->hosts.items[k]);
                        if (!name)
                                continue;

                        (void) snprintf(wildcard, sizeof(wildcard), "%s", r->hosts.items[k]);
                        (void) snprintf(path, sizeof(path), "%s", r->paths.items[0]);
                        default_drop_wildcard(routes, g, wildcard, path, name);
                        return true;
                }

        return false;
}

static const HttpdCandidate *default_find_loser(const HttpdRoutes *routes, const HttpdCandidates *g,
                                                const HttpdItem *item) {
        for (size_t i = 1; i < g->n_items; i++)
                if (default_host_loses(routes, g, &g->items[i], item))
                        return &g->items[i];

        return NULL;
}

/* Names the virtual host in messages. */
static const char *default_name(const HttpdCandidate *h) {
        if (h->names.n_items > 0)
                return h->names.items[0];
        if (h->server->globs.n_items > 0)
                return h->server->globs.items[0];

        return h->has_lost ? h->server->names.items[0] : "the virtual host without ServerName";
}

/*
 * Says why the line has no unit without Host=. The reason is the virtual host @loser, or @lost, which has no such unit
 * either. Without both, other virtual hosts let in other clients.
 */
static void default_say(const HttpdCandidates *g, const HttpdCandidate *loser, const HttpdItem *lost, HttpdEntry *e) {
        const char *what = g->items[0].names.n_items > 0 ? "The unit does not" : "No unit is printed";
        char place[HTTPD_PLACE_MAX] = "";

        if (e->is_default_said)
                return;

        e->is_default_said = true;
        if (lost)
                (void) httpd_place(&g->c->entries[lost->entry].place, &e->place, place);
        httpd_say(g->c, &e->place, "httpd also gives this line clients that name none of the virtual hosts (unknown "
                                   "hosts, addresses, no Host). %s, because without Host= it would take %s%.80s that "
                                   "httpd does not give it.",
                  what, loser || lost ? "paths of " : "clients", lost ? place : loser ? default_name(loser) : "");
}

/* Makes a route without Host= for the item. Returns 1, 0 if there can be none, or -ENOMEM. */
static int default_make(const HttpdRoutes *routes, const HttpdCandidates *g, const HttpdItem *item, HttpdRoute *ret) {
        const HttpdCandidate *h = &g->items[0], *loser = default_find_loser(routes, g, item);
        int r = loser ? 0 : httpd_route_make(g, h, item, true, ret);

        if (r == 0 && (loser || h->names.n_items > 0))
                default_say(g, loser, NULL, &g->c->entries[item->entry]);
        return r;
}

/* Adds the units without Host= of the first virtual host, or of the server itself. */
static int default_add_all(HttpdRoutes *routes, const HttpdCandidates *g) {
        const HttpdCandidate *h = &g->items[0];
        _cleanup_free_ HttpdRoute *made = calloc(h->plan->n_items + 1, sizeof(*made));
        size_t around, lost;
        int r = made ? 0 : -ENOMEM;

        for (size_t i = 0; i < h->plan->n_items && r >= 0; i++)
                r = default_make(routes, g, &h->plan->items[i], &made[i]);
        while (r >= 0 && (around = httpd_routes_find_around(h, made, &lost)) < h->plan->n_items)
                default_say(g, NULL, &h->plan->items[lost], &g->c->entries[h->plan->items[around].entry]);

        for (size_t i = 0; i < h->plan->n_items && made; i++)
                if (r >= 0 && made[i].worker)
                        r = httpd_routes_append(routes, &made[i]);
                else
                        httpd_route_done(&made[i]);

        return MIN(r, 0);
}

/* Returns whether a path of @inner is a path of @outer or below it. */
static bool default_paths_meet(const StringList *outer, const StringList *inner) {
        for (size_t i = 0; i < inner->n_items; i++)
                if (httpd_path_is_below(outer, inner->items[i]))
                        return true;

        return false;
}

/*
 * Returns whether @r may take clients of the hosts and paths of @named. For the same host the longer path wins in any
 * case, so a longer one of @r does not count.
 */
static bool default_meets(const HttpdRoute *r, const HttpdRoute *named) {
        bool is_around = default_paths_meet(&r->paths, &named->paths);
        bool is_inside = default_paths_meet(&named->paths, &r->paths);

        for (size_t i = 0; i < r->hosts.n_items; i++)
                for (size_t k = 0; k < named->hosts.n_items; k++) {
                        const char *a = r->hosts.items[i], *b = named->hosts.items[k];

                        if (streq(a, b) ? is_around : (is_around || is_inside) &&
                            (httpd_name_is_inside(a, b) || httpd_name_is_inside(b, a)))
                                return true;
                }

        return false;
}

/*
 * Returns whether @r takes clients from @named, which has Host=, if @named goes. Then a unit without Host= serves its
 * clients, if no other one comes first.
 */
static bool default_comes_between(const HttpdCandidates *g, const HttpdRoute *named, const HttpdRoute *r) {
        bool is_of_first = true;

        if (r == named || r->group != named->group)
                return false;
        if (!r->is_default)
                return default_meets(r, named);

        for (size_t i = 0; i < named->hosts.n_items; i++)
                is_of_first &= strlist_has(&g->items[0].names, named->hosts.items[i]);

        return !is_of_first && !httpd_routes_are_alike(r, named) && default_paths_meet(&named->paths, &r->paths);
}

static HttpdRoute *default_find_twin(const HttpdRoutes *routes, const HttpdRoute *named) {
        for (size_t i = 0; i < routes->n_items; i++)
                if (routes->items[i].is_default && routes->items[i].group == named->group &&
                    httpd_routes_are_alike(&routes->items[i], named))
                        return &routes->items[i];

        return NULL;
}

/* Removes a unit with Host= for which a unit without does the same. Returns whether there was one. */
static bool default_remove_redundant(HttpdRoutes *routes, const HttpdCandidates *g) {
        for (size_t i = 0; i < routes->n_items; i++) {
                HttpdRoute *named = &routes->items[i];
                bool is_needed = named->is_default || named->group != g->group || !default_find_twin(routes, named);

                for (size_t k = 0; k < routes->n_items && !is_needed; k++)
                        is_needed = default_comes_between(g, named, &routes->items[k]);
                if (!is_needed) {
                        httpd_routes_remove(routes, i);
                        return true;
                }
        }

        return false;
}

void httpd_routes_remove_wildcards(HttpdRoutes *routes, const HttpdCandidates *g) {
        while (default_remove_wildcard(routes, g))
                ;
}

int httpd_routes_add_defaults(HttpdRoutes *routes, const HttpdCandidates *g) {
        int r = default_add_all(routes, g);

        while (r >= 0 && default_remove_redundant(routes, g))
                ;

        /* Both units of one line and name need different names. */
        for (size_t i = 0; i < routes->n_items; i++) {
                HttpdRoute *d = routes->items[i].is_default ? NULL : default_find_twin(routes, &routes->items[i]);

                if (d)
                        d->name = "default";
        }

        return r;
}
