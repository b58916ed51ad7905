/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* One route, and the list of routes. */

#include "basic/array.h"
#include "fdpassctl/httpd-candidates.h"
#include "fdpassctl/httpd.h"
#include "probe/http.h"

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

void httpd_routes_remove(HttpdRoutes *routes, size_t i) {
        httpd_route_done(&routes->items[i]);
        memmove(&routes->items[i], &routes->items[i + 1], (--routes->n_items - i) * sizeof(*routes->items));
}

bool httpd_lists_equal(const StringList *a, const StringList *b) {
        for (size_t i = 0; i < a->n_items; i++)
                if (!strlist_has(b, a->items[i]))
                        return false;

        return a->n_items == b->n_items;
}

int httpd_route_make(const HttpdCandidates *g, const HttpdCandidate *h, const HttpdItem *item, bool is_default,
                     HttpdRoute *ret) {
        HttpdEntry *e = &g->c->entries[item->entry];
        int r;

        *ret = (HttpdRoute){
                .place = e->place, .flusher = e->flusher, .condition = e->condition, .entry = item->entry,
                .group = g->group,
                .worker = strdup(item->area->worker), .host = g->c->servers[e->server].host, .is_default = is_default,
                .name = e->server > 0 && h->server->names.n_items > 0 ? h->server->names.items[0] : "", .n_groups = 1,
        };
        r = ret->worker ? strlist_add(&ret->paths, item->path) : -ENOMEM;
        for (size_t i = 0; i < h->names.n_items && r >= 0 && !is_default; i++)
                r = strlist_add(&ret->hosts, h->names.items[i]);
        for (size_t i = 0; i < g->c->groups[g->group].listeners.n_items && r >= 0 && g->c->n_groups > 1; i++)
                r = strlist_add(&ret->listeners, g->c->groups[g->group].listeners.items[i]);

        if (r >= 0)
                r = httpd_set_sources(g->c, ret, !item->area->is_held && !(is_default && h->names.n_items > 0));
        item->area->is_held |= r == 0;
        if (r <= 0)
                httpd_route_done(ret);
        return r;
}

size_t httpd_routes_find_around(const HttpdCandidate *h, HttpdRoute *made, size_t *ret_lost) {
        const HttpdPlan *plan = h->plan;

        for (size_t i = 0; i < plan->n_items; i++)
                for (size_t k = 0; k < plan->n_items && made[i].worker; k++)
                        if (!made[k].worker && httpd_path_is_below(&made[i].paths, plan->items[k].path)) {
                                httpd_route_done(&made[i]);
                                *ret_lost = k;
                                return i;
                        }

        return plan->n_items;
}

int httpd_routes_append(HttpdRoutes *routes, HttpdRoute *route) {
        if (!ARRAY_GROW(routes->items, routes->n_items)) {
                httpd_route_done(route);
                return -ENOMEM;
        }

        routes->items[routes->n_items++] = *route;
        *route = (HttpdRoute){};
        return 0;
}

bool httpd_routes_are_alike(const HttpdRoute *a, const HttpdRoute *b) {
        return a->entry == b->entry && streq(a->worker, b->worker) && httpd_lists_equal(&a->paths, &b->paths) &&
               httpd_lists_equal(&a->sources, &b->sources);
}

bool httpd_path_is_below(const StringList *outer, const char *path) {
        for (size_t i = 0; i < outer->n_items; i++)
                if (http_path_has_prefix(slice_from_string(path), slice_from_string(outer->items[i])))
                        return true;

        return false;
}
