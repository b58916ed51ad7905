/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The virtual hosts of one group of addresses, and the routes that come of them. */

#include "fdpassctl/httpd-plan.h"

/* One virtual host at one group of addresses. */
typedef struct HttpdCandidate {
        HttpdServer *server;
        StringList names;      /* names for which httpd chooses it, and not an earlier one */
        bool has_lost;         /* it has more names, which no unit can have */
        const HttpdPlan *plan;
} HttpdCandidate;

typedef struct HttpdCandidates {
        HttpdConfig *c;
        const HttpdPlan *plans; /* of all servers */
        size_t group;           /* index of the group */
        HttpdCandidate *items;  /* in the order of httpd; the first one has the clients that name none */
        size_t n_items;
} HttpdCandidates;

/* The functions below return 0 or -ENOMEM where they return an int and nothing else is said. */

/* Finds the virtual hosts and their names. */
int httpd_candidates_find(HttpdCandidates *g);
void httpd_candidates_done(HttpdCandidates *g);

/* Returns whether all hosts of @name (a value of Host=) match @wider, another one. */
bool httpd_name_is_inside(const char *name, const char *wider);

/* Makes a route. Returns 1, 0 if httpd keeps clients out that the unit would let in, or -ENOMEM. */
int httpd_route_make(const HttpdCandidates *g, const HttpdCandidate *h, const HttpdItem *item, bool is_default,
                     HttpdRoute *ret);

/*
 * Removes a route with a path around that of an item without a route, because it would take the clients of that item.
 * @made has a route for each item of the host's plan. The worker of a missing one is NULL. Returns the index of the
 * item whose route it removed, and in @ret_lost that of the other item. Returns the number of items if there is none.
 */
size_t httpd_routes_find_around(const HttpdCandidate *h, HttpdRoute *made, size_t *ret_lost);

/* Adds the route, which is consumed. */
int httpd_routes_append(HttpdRoutes *routes, HttpdRoute *route);
void httpd_routes_remove(HttpdRoutes *routes, size_t i);

/* Returns whether both are units for the same line, socket, paths and sources. */
bool httpd_routes_are_alike(const HttpdRoute *a, const HttpdRoute *b);

/* Returns whether the lists have the same strings. */
bool httpd_lists_equal(const StringList *a, const StringList *b);

/* Returns whether @path is one of @outer or below one. */
bool httpd_path_is_below(const StringList *outer, const char *path);

/* Removes wildcards in Host= that would take clients of a virtual host with a longer name. */
void httpd_routes_remove_wildcards(HttpdRoutes *routes, const HttpdCandidates *g);

/* Adds the units without Host=, and removes those with Host= that they make redundant. */
int httpd_routes_add_defaults(HttpdRoutes *routes, const HttpdCandidates *g);
